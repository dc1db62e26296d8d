"""The numbers of the system calls, beside the kernel's headers and libseccomp."""

import platform
import re
import subprocess

import pytest

from ramet._sandbox.syscalls.call_numbers import KNOWN_NAMES, NAMES, NUMBERS

from ....libseccomp import ALLOW, Oracle

LAST = 471  # rseq_slice_yield, of Linux 7.1
# What libseccomp 2.6.0 does not know yet.
NEWER = {"uprobe", "open_tree_attr", "file_getattr", "file_setattr", "listns", "rseq_slice_yield"}


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("read", (0, 63)),
        ("clone", (56, 220)),
        ("fork", (57, None)),
        ("execve", (59, 221)),
        ("mount", (165, 40)),
        ("arch_prctl", (158, None)),
        ("uprobe", (336, None)),
        ("renameat", (264, 38)),
        ("clone3", (435, 435)),
        ("listns", (470, 470)),
        ("rseq_slice_yield", (471, 471)),
    ],
)
def test_a_number(name: str, numbers: tuple[int | None, int | None]) -> None:
    """Each call has its number on both machines, or none where the machine has no such call."""
    assert tuple(NUMBERS[machine].get(name) for machine in ("x86_64", "aarch64")) == numbers


def test_all_calls_of_this_machine() -> None:
    """The kernel's headers have the same numbers, and no name beside ours but newer ones."""
    text = subprocess.run(
        ["cc", "-E", "-dM", "-include", "asm/unistd.h", "-x", "c", "/dev/null"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    theirs = {name: int(number) for name, number in re.findall(r"__NR_(\w+) (\d+)\n", text)}
    assert len(theirs) > 300
    ours = NUMBERS[platform.machine()]
    assert {name: number for name, number in theirs.items() if number <= LAST} == {
        name: number for name, number in ours.items() if name in theirs
    }


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_all_calls_that_libseccomp_knows(machine: str) -> None:
    """The library has the same number for each name, and none for names of other machines."""
    oracle = Oracle(machine, ALLOW)
    theirs = {name: oracle.number(name) for name in KNOWN_NAMES - NEWER}
    assert {name: number for name, number in theirs.items() if number is not None} == {
        name: number for name, number in NUMBERS[machine].items() if name in theirs
    }


@pytest.mark.parametrize(("machine", "count"), [("x86_64", 385), ("aarch64", 327)])
def test_each_number_has_one_name(machine: str, count: int) -> None:
    """No number is there twice, and none is beyond the last."""
    assert len(NAMES[machine]) == len(NUMBERS[machine])
    assert max(NAMES[machine]) == LAST
    assert len(NAMES[machine]) == count


def test_names_of_other_machines_are_known() -> None:
    """Files for engines name calls of other processors, and of 32-bit programs."""
    assert {"chown32", "_llseek", "socketcall", "s390_pci_mmio_read", "waitpid"} <= KNOWN_NAMES
    assert "opennat" not in KNOWN_NAMES
