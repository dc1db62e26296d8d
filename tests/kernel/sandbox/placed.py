"""Programs in places of their own, as a launcher would start them."""

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ramet import ExitStatus
from ramet._sandbox.amounts.amounts import Amounts
from ramet._sandbox.amounts.place import Place
from ramet._sandbox.amounts.usage import Usage
from ramet._sandbox.description import Sandbox

from ...copies import forked
from ...looking import directories_below

MEGABYTE = 1 << 20
PYTHON = [sys.executable, "-I", "-S", "-c"]

TOUCH = "held = b'x' * ({} << 20)"
THREADS = """
import threading
gate = threading.Event()
for _ in range({}):
    threading.Thread(target=gate.wait, daemon=True).start()
"""
GRANDCHILD = """
import os
pid = os.fork()
if pid == 0:
    {}
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0)
"""
SPIN = "while True: pass"
MANY_SPIN = """
import os
for _ in range(3):
    if os.fork() == 0:
        break
while True: pass
"""
# Processes that nobody waits for, each in a session of its own.
SCATTERED = """
import os, time
for _ in range({}):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
"""


def start(place: Place, argv: list[str]) -> int:
    """A child that does what a launcher makes the newborn do, in a session of its own; it has begun."""
    begun, until_exec = os.pipe()

    def enter_and_run() -> None:
        os.setsid()
        quiet = os.open("/dev/null", os.O_RDWR)
        os.dup2(quiet, 2)
        for entry in place.entries:
            os.write(entry, b"0")
        for name, limit in place.rlimits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), limit)
        for number in (signal.SIGXFSZ, signal.SIGPIPE):  # Python ignores them
            signal.signal(number, signal.SIG_DFL)
        if place.affinity is not None:
            os.sched_setaffinity(0, place.affinity)
        os.execv(argv[0], argv)

    try:
        pid = forked(enter_and_run)
        os.close(until_exec)
        os.read(begun, 1)  # until then its memory is a copy of this process's, which is large
    finally:
        os.close(begun)
    return pid


def run_in(place: Place, argv: list[str]) -> tuple[ExitStatus, Usage]:
    """Run it to its end; how it ended, and what it used."""
    pid = start(place, argv)
    pidfd = os.pidfd_open(pid)
    try:
        place.begin(pid, pidfd)
        _, word, rusage = os.wait4(pid, 0)
        status = place.ended(ExitStatus.from_wstatus(word, rusage))
    finally:
        os.close(pidfd)
        place.kill()
        with contextlib.suppress(ProcessLookupError):  # by limits the child alone is killed
            os.killpg(pid, signal.SIGKILL)
    return status, place.usage()


Run = Callable[..., tuple[ExitStatus, Usage]]


Make = Callable[..., Amounts]


def with_cgroups() -> Iterator[Make]:
    """Make Amounts with these wishes, in cgroups; all are gone in the end."""
    before = left()  # what is kept for sandboxes of other tests
    with contextlib.ExitStack() as stack:

        def make(**wishes: Any) -> Amounts:
            amounts = stack.enter_context(Amounts(Sandbox(**wishes)))
            if not amounts.controllers >= {
                CONTROLLERS[wish] for wish in wishes.keys() & CONTROLLERS
            }:
                pytest.skip("needs cgroups below which this process may make others")
            return amounts

        yield make
    assert set(left()) <= set(before)


CONTROLLERS = {"memory": "memory", "processes": "pids", "cpus": "cpu", "cpu_time": ""}


def left() -> list[str]:
    """Cgroups of this process, wherever they are mounted."""
    mounts = [line.split(" ")[:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    tops = [place for _, place, kind in mounts if kind.startswith("cgroup")]
    pattern = f"ramet-*-{os.getpid()}-*-sandbox"
    return [each for top in tops for each in directories_below(top, pattern)]
