import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from ramet import CloneFlag as F
from ramet import Command, SpawnError

from ...constants import NOBODY, PR_GET_DUMPABLE, repeated
from ...looking import resident_bytes
from ...waiting import in_threads

# RAMET_LONG=1 makes a hundred thousand; else it is as many as take some seconds.
LONG = os.environ.get("RAMET_LONG") == "1"
COUNT = 100_000 if LONG else repeated(4_000)
THREADS = 8

# What the allocators may have taken for good after the first tenth.
GROWTH_BYTES = 3 * 1024 * 1024


class LeakCheck(Protocol):
    """What the fixture nothing_left gives."""

    def start_again(self) -> None: ...


def in_all_threads(count: int, job: Callable[[], None]) -> None:
    """Do it that many times in all, by eight threads."""

    def work() -> None:
        for _ in range(count // THREADS):
            job()

    in_threads(THREADS, work)


def leave_little(job: Callable[[], None], nothing_left: LeakCheck) -> None:
    in_all_threads(COUNT // 40, job)
    nothing_left.start_again()
    before = resident_bytes()
    in_all_threads(COUNT // 10, job)
    gc.collect()
    assert resident_bytes() - before < GROWTH_BYTES


def succeeded(command: Command) -> None:
    assert command.spawn().wait(60).code == 0


@pytest.mark.timeout(1800 if LONG else 120)
def test_many_programs_of_many_threads(nothing_left: LeakCheck) -> None:
    """A hundred thousand programs of eight threads leave nothing, and no memory either."""
    command = Command(["/bin/true"])
    in_all_threads(COUNT // 10, lambda: succeeded(command))
    nothing_left.start_again()
    before = resident_bytes()
    in_all_threads(COUNT, lambda: succeeded(command))
    gc.collect()
    assert resident_bytes() - before < GROWTH_BYTES


KINDS: dict[str, dict[str, Any]] = {
    "moves": {"fds": {7: 0, 0: 1, 1: 0}, "stderr": -3, "umask": 0o77, "nice": 19},
    "dies": {"die_with_parent": True},
    "maps": {"flags": F.NEWUSER, "uid_map": [(0, os.geteuid(), 1)]},
    "joins": {"namespaces": {"uts": "/proc/self/ns/uts"} if os.geteuid() == 0 else {}},
    "identity": {"user": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {},
}


@pytest.mark.timeout(600 if LONG else 120)
@pytest.mark.parametrize("kind", KINDS)
def test_many_programs_of_a_kind(kind: str, nothing_left: LeakCheck) -> None:
    """The same for each way to set a child up, with a command for each child."""

    def job() -> None:
        succeeded(Command(["/bin/true"], **KINDS[kind]))

    leave_little(job, nothing_left)


@pytest.mark.timeout(600 if LONG else 120)
@pytest.mark.parametrize(
    "options", [{}, {"start": False}, {"die_with_parent": True}], ids=["plain", "waits", "dies"]
)
def test_many_failures(options: dict[str, Any], nothing_left: LeakCheck) -> None:
    """Programs that cannot be leave as little, wherever they fail."""
    commands = [
        Command(["/bin/true"], cwd="/no/such", **options),
        Command(["/no/such"], stdin=-3, **options),
    ]

    def job() -> None:
        for command in commands:
            try:
                with command.spawn() as child:
                    child.start()
            except SpawnError:
                continue
            raise AssertionError("no error")

    leave_little(job, nothing_left)


@pytest.mark.timeout(600 if LONG else 120)
def test_many_children_that_are_killed_while_they_wait(nothing_left: LeakCheck) -> None:
    """A child that is killed before its start takes its helper thread along."""
    command = Command(["/bin/true"], start=False)

    def job() -> None:
        with command.spawn() as child:
            child.kill()
            assert child.wait(60).signal == signal.SIGKILL

    in_all_threads(COUNT // 40, job)
    nothing_left.start_again()
    in_all_threads(COUNT // 10, job)


def test_many_users_at_a_time(root: None, nothing_left: LeakCheck) -> None:
    """However many children of another user overlap, the caller's memory is dumpable in the end."""
    command = Command(["/bin/true"], user=NOBODY)
    in_all_threads(400, lambda: succeeded(command))
    assert ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1


# ---- ends that come from outside


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """A cgroup, of either version, whose memory is 32 MB."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split(" ")
        if kind == "cgroup" and "memory" in options.split(","):
            limits = {"memory.limit_in_bytes": "32M", "memory.memsw.limit_in_bytes": "32M"}
        elif kind == "cgroup2":
            limits = {"memory.max": "32M", "memory.swap.max": "0"}
        else:
            continue
        made = Path(place) / f"ramet-test-memory-{os.getpid()}"
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            first, *more = limits.items()
            (made / first[0]).write_text(first[1])
        except OSError:
            made.rmdir()
            continue
        for name, value in more:  # without swap there is no such file
            if (made / name).exists():
                (made / name).write_text(value)
        yield made
        made.rmdir()
        return
    pytest.skip("needs a cgroup with a limit of memory")


def test_killed_for_want_of_memory(small_memory: Path, nothing_left: LeakCheck) -> None:
    """A program that the OOM killer ends was killed by SIGKILL for want of memory; its caller lives on."""
    code = "held = bytearray(1 << 30)\nfor i in range(0, 1 << 30, 4096): held[i] = 1"
    command = Command([sys.executable, "-I", "-S", "-c", code], cgroup=small_memory)
    status = command.spawn().wait(60)
    assert status.signal == signal.SIGKILL
    assert status.returncode == -9
    assert status.rusage is not None
    assert status.reason == "out of memory"
    assert str(status) == "killed by SIGKILL (out of memory)"
    assert Command(["/bin/true"], cgroup=small_memory).spawn().wait(60).success
    ended_otherwise = Command(["sleep", "1000"], cgroup=small_memory).spawn()
    os.kill(ended_otherwise.pid, signal.SIGKILL)
    assert ended_otherwise.wait(60).reason == "signaled"


def test_a_kill_is_no_want_of_memory(small_memory: Path, nothing_left: LeakCheck) -> None:
    """A child killed through its handle was not killed for memory, even where another in its cgroup was."""
    child = Command(["sleep", "1000"], cgroup=small_memory).spawn()
    code = "held = bytearray(1 << 30)\nfor i in range(0, 1 << 30, 4096): held[i] = 1"
    hungry = Command([sys.executable, "-I", "-S", "-c", code], cgroup=small_memory).spawn()
    assert hungry.wait(60).reason == "out of memory"
    child.kill()
    assert child.wait(60).reason == "signaled"
