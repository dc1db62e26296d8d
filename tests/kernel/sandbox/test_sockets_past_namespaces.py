"""Sockets that no network namespace holds, such as those to a virtual machine's host."""

import ast
import ctypes
import errno
import inspect
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet._sandbox.syscalls.call_numbers import NUMBERS

from ...constants import SECONDS
from .taken_away import needs_all, needs_landlock

pytestmark = [needs_all, pytest.mark.usefixtures("nothing_kept")]

# Another user cannot reach the Python of root.
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
HERE = NUMBERS[platform.machine()]
NUMBERS_NEEDED = {name: HERE[name] for name in ("socket", "socketpair", "io_uring_setup")}
# To a type that is none the kernel says EINVAL, whether or not it has the family: RDS, vsock, QIPCRTR.
OPEN = {"socket 21": "EINVAL", "socket 40": "EINVAL", "socket 42": "EINVAL"}
HELD = dict.fromkeys(OPEN, "EAFNOSUPPORT")


def tried(numbers: dict[str, int]) -> dict[str, str]:
    """What the kernel says to each family, and to a call that makes sockets past a filter."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(*arguments: int) -> str:
        returned = libc.syscall(*map(ctypes.c_long, arguments))
        return errno.errorcode[ctypes.get_errno()] if returned < 0 else "done"

    found = {
        f"socket {family}": call(numbers["socket"], family, 0x100000, 0) for family in (21, 40, 42)
    }
    found["pair"] = call(numbers["socketpair"], 40, 0x100000, 0, 0)
    found["high bits"] = call(numbers["socket"], 1 << 32 | 40, 0x100000, 0)
    found["internet"] = call(numbers["socket"], 2, 1, 0)
    found["unix"] = call(numbers["socket"], 1, 1, 0)
    found["ring"] = call(numbers["io_uring_setup"], 1, 0)
    return found


def of_program(sandbox: ramet.Sandbox) -> dict[str, str]:
    function = inspect.getsource(tried)
    source = f"import ctypes, errno\n{function}\nprint(tried({NUMBERS_NEEDED!r}))"
    done = ramet.run(
        [PYTHON, "-c", source],
        sandbox=sandbox,
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    found: dict[str, str] = ast.literal_eval(done.stdout)
    return found


def of_clone(sandbox: ramet.Sandbox) -> dict[str, str]:
    with ramet.clone(tried, NUMBERS_NEEDED, sandbox=sandbox) as child:
        return child.result(SECONDS)


def of_template(sandbox: ramet.Sandbox) -> dict[str, str]:
    with (
        ramet.Template(["cloudpickle"], sandbox=sandbox, spares=0) as template,
        template.clone(tried, NUMBERS_NEEDED) as call,
    ):
        return call.result(SECONDS)


@pytest.fixture
def profile(tmp_path: Path) -> str:
    """A list of a container engine's that allows all."""
    made = tmp_path / "profile.json"
    made.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW"}))
    return str(made)


@pytest.mark.parametrize("of", [of_program, of_clone, of_template])
@pytest.mark.parametrize("network", ["none", "loopback"])
@pytest.mark.parametrize("syscalls", [None, "file", "default", "strict"])
def test_none_is_made_where_the_network_is_not_the_callers(
    of: Any, network: str, syscalls: str | None, profile: str
) -> None:
    """By whatever list of calls; sockets that the namespace holds can be made."""
    wanted = profile if syscalls == "file" else syscalls
    found = of(ramet.Sandbox(network=network, syscalls=wanted))
    assert HELD.items() <= found.items()
    assert (found["pair"], found["high bits"]) == ("EAFNOSUPPORT", "EAFNOSUPPORT")
    assert (found["internet"], found["unix"]) == ("done", "done")
    assert found["ring"] == "EPERM"


@needs_landlock(4)
def test_none_is_made_where_ports_are_named() -> None:
    """That network is the caller's but for the ports, and these sockets have others."""
    found = of_program(ramet.Sandbox(network={"connect": [443]}, syscalls=None))
    assert HELD.items() <= found.items()


@pytest.mark.usefixtures("root")
def test_none_is_made_in_a_network_that_is_joined() -> None:
    """Its namespace holds them no more than a new one."""
    found = of_program(ramet.Sandbox(network="/proc/self/ns/net", syscalls=None))
    assert HELD.items() <= found.items()


@pytest.mark.parametrize("of", [of_program, of_clone])
def test_the_callers_network_has_them(of: Any, profile: str) -> None:
    """All calls are those that the caller's list allows."""
    for wanted in (None, profile):
        found = of(ramet.Sandbox(network="host", syscalls=wanted))
        assert OPEN.items() <= found.items()
        assert found["ring"] != "EPERM"


def test_children_that_wait_have_the_filter() -> None:
    """Those that are confined ahead of their programs."""
    sandbox = ramet.Sandbox(syscalls=None, warm=1)
    try:
        assert HELD.items() <= of_program(sandbox).items()
    finally:
        sandbox.release()
