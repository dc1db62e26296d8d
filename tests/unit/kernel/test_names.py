import os
import re
import resource
import shutil
import signal
import subprocess

import pytest

from ramet import CloneFlag, UnknownNameError
from ramet._kernel.names import (
    CAPABILITIES,
    IO_CLASSES,
    NAMESPACES,
    RLIMITS,
    SCHEDULERS,
    SECUREBITS,
    bits,
    find,
    nearest,
    signal_number,
)

COMPILER = shutil.which("cc") or shutil.which("gcc")


def defined(*headers: str) -> dict[str, str]:
    """Every macro of the kernel's headers, by the C compiler."""
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    source = "".join(f"#include <{header}>\n" for header in headers)
    command = [COMPILER, "-E", "-dM", "-x", "c", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("needs the kernel's headers")
    lines = (line.split(maxsplit=2) for line in done.stdout.splitlines())
    return {line[1]: line[2] for line in lines if len(line) == 3}


def numbers(macros: dict[str, str], pattern: str) -> dict[str, int]:
    """The macros of that form whose value is a plain number; the group in it is the name."""
    return {
        match[1]: int(value, 0)
        for name, value in macros.items()
        if (match := re.fullmatch(pattern, name)) and re.fullmatch(r"\d+|0x[0-9a-f]+", value)
    }


def test_capabilities_are_the_kernels() -> None:
    """Each name has the number of linux/capability.h, and the header knows no other."""
    kernels = numbers(defined("linux/capability.h"), r"CAP_([A-Z_]+)")
    assert kernels
    assert {name: CAPABILITIES.get(name) for name in kernels} == kernels
    # An older header may lack the newest ones.
    assert len(CAPABILITIES) >= len(kernels)
    assert CAPABILITIES["CHOWN"] == 0
    assert CAPABILITIES["CHECKPOINT_RESTORE"] == 40


def test_secure_bits_are_the_kernels() -> None:
    """The bit of each is the one that linux/securebits.h counts."""
    kernels = numbers(defined("linux/securebits.h"), r"SECURE_([A-Z_]+)")
    assert kernels
    assert {name: SECUREBITS.get(name) for name in kernels} == {
        name: 1 << place for name, place in kernels.items()
    }


def test_scheduling_policies_are_the_kernels() -> None:
    """Each policy has the number that os, or the header, has for it."""
    for name in ("OTHER", "FIFO", "RR", "BATCH", "IDLE"):
        assert SCHEDULERS[name] == getattr(os, f"SCHED_{name}")
    kernels = numbers(defined("linux/sched.h"), r"SCHED_([A-Z]+)")
    kernels.pop("NORMAL", None)  # another name of OTHER
    known = {name: number for name, number in kernels.items() if name in SCHEDULERS}
    assert known == {name: SCHEDULERS[name] for name in known}
    assert SCHEDULERS["DEADLINE"] == kernels["DEADLINE"]
    assert SCHEDULERS["EXT"] == 7


def test_classes_of_io_are_the_kernels() -> None:
    """They are an enum in linux/ioprio.h, whose numbers are the interface."""
    assert IO_CLASSES == {"NONE": 0, "RT": 1, "BE": 2, "IDLE": 3}


def test_limits_are_the_kernels() -> None:
    """Each limit has the number of the resource module and of asm/resource.h."""
    for name, number in RLIMITS.items():
        constant = getattr(resource, f"RLIMIT_{name}", number)
        assert constant == number
    kernels = numbers(defined("asm/resource.h"), r"RLIMIT_([A-Z]+)")
    assert kernels == RLIMITS


def test_namespaces_are_those_of_the_kernel() -> None:
    """Every kind under /proc/self/ns can be joined, but time; the user's is first, the mounts' last."""
    there = {name for name in os.listdir("/proc/self/ns") if "_for_children" not in name}
    assert there - {"time"} <= set(NAMESPACES)
    assert next(iter(NAMESPACES)) == "user"
    assert list(NAMESPACES)[-1] == "mnt"
    assert NAMESPACES["mnt"] == CloneFlag.NEWNS.value
    kernels = numbers(defined("linux/sched.h"), r"CLONE_(NEW[A-Z]+)")
    for name, flag in NAMESPACES.items():
        assert flag == kernels["NEWNS" if name == "mnt" else f"NEW{name.upper()}"]


def test_names_with_and_without_their_prefix() -> None:
    """A name is found in either case, with the kernel's prefix or without."""
    for name in ("KILL", "kill", "CAP_KILL", "cap_kill"):
        assert find(CAPABILITIES, name, "capability", "CAP_") == 5
    for name in ("TERM", "term", "SIGTERM", "sigterm"):
        assert signal_number(name) == 15
    assert signal_number(signal.SIGRTMAX) == 64


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("NET_ADMN", "NET_ADMIN"),
        ("NETADMIN", "NET_ADMIN"),
        ("CAP_SYS_PTRAC", "SYS_PTRACE"),
        ("CHWON", "CHOWN"),
        ("xxxxxxxx", None),
    ],
)
def test_an_unknown_name_says_the_nearest(name: str, meant: str | None) -> None:
    """The error has the name that was meant, for a program too; a wild one gets no suggestion."""
    with pytest.raises(UnknownNameError) as caught:
        find(CAPABILITIES, name, "capability", "CAP_")
    assert caught.value.nearest == meant
    assert caught.value.name == name
    assert ("did you mean" in str(caught.value)) == (meant is not None)


def test_the_nearest_is_spelt_as_it_is_known() -> None:
    """Case does not count when names are compared, and stays in the answer."""
    assert nearest("ROOTT", ["root", "daemon"]) == "root"
    assert nearest("nobdy", ["Nobody"]) == "Nobody"
    assert nearest("x", []) is None


def test_bits() -> None:
    """Each number is one bit."""
    assert bits([0, 3, 63]) == 1 | 8 | 1 << 63
    assert bits([]) == 0


@pytest.mark.parametrize("which", [0, -1, 65])
def test_a_signal_out_of_range(which: int) -> None:
    """A number that is no signal is refused."""
    with pytest.raises(ValueError, match="1 to 64"):
        signal_number(which)
