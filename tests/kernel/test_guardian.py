import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import ramet
from ramet import CloneFlag as F

SECONDS = 30.0
GUARDED = F.VM | F.SIGHAND


def guardians() -> set[int]:
    """The guardians among this process's children, by the name that they give themselves."""
    pids = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # who has ended is none
            for pid in map(int, listing.read_text().split()):
                if Path(f"/proc/{pid}/comm").read_text() == "ramet-guardian\n":
                    pids.add(pid)
    return pids


def ends(pid: int) -> bool:
    descriptor = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        return bool(poll.poll(SECONDS * 1000))
    finally:
        os.close(descriptor)


@pytest.fixture
def guarded() -> Iterator[Callable[[], ramet.Child[bytes]]]:
    """Makes children that need a guardian, and run until they are let go."""
    end, ended = os.pipe()
    children = []

    def make() -> ramet.Child[bytes]:
        children.append(ramet.clone(os.read, end, 1, flags=GUARDED | F.FILES))
        return children[-1]

    yield make
    os.close(ended)
    for child in children:
        child.wait(SECONDS)
    os.close(end)


def test_one_guardian_for_all(
    nothing_left: object, guarded: Callable[[], ramet.Child[bytes]]
) -> None:
    """It is made with the first child that needs it, and guards the others as well."""
    guarded()
    first = guardians()
    assert len(first) == 1
    guarded()
    guarded()
    assert guardians() == first


def test_who_needs_none_gets_none(nothing_left: object) -> None:
    """Most children in shared memory hear of the caller's end themselves."""
    for flags in (F.VM, F.VM | F.VFORK, F.VM | F.FILES, F.VM | F.SIGHAND | F.THREAD):
        ramet.clone(int, flags=flags).wait(SECONDS)
    assert guardians() == set()


def test_it_keeps_nothing_open(
    nothing_left: object, guarded: Callable[[], ramet.Child[bytes]]
) -> None:
    """It holds one descriptor, the caller's pidfd, and no directory but the root."""
    guarded()
    (pid,) = guardians()
    (descriptor,) = os.listdir(f"/proc/{pid}/fd")
    assert "pidfd" in os.readlink(f"/proc/{pid}/fd/{descriptor}")
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


def test_nobody_waits_for_it_by_mistake(nothing_left: object) -> None:
    """os.wait() does not see it, and a signal for all does not end it."""

    def fn() -> None:
        ramet.clone(int, flags=GUARDED).wait(SECONDS)
        (pid,) = guardians()
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        assert pid in guardians()

    ramet.clone(fn).result(SECONDS)  # where there is no other child


def test_it_goes_when_nobody_needs_it(nothing_left: object) -> None:
    """Some seconds after its last child it ends, and the next child gets another."""
    ramet.clone(int, flags=GUARDED).wait(SECONDS)
    (pid,) = guardians()
    assert ends(pid)
    assert ramet.clone(int, 5, flags=GUARDED).result(SECONDS) == 5
    assert guardians() not in ({pid}, set())


def test_an_exec_of_the_caller_lets_go_of_its_memory() -> None:
    """A caller that becomes another program leaves neither children nor the guardian in its old memory."""
    end, ended = os.pipe()
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        child = ramet.clone(signal.pause, flags=GUARDED)
        os.write(tell, f"{child.pid} {guardians().pop()}\n".encode())
        os.dup2(end, 0)
        os.execv("/bin/sh", ["sh", "-c", "read line"])
    child_pid, guardian = map(int, os.read(told, 100).split())
    pidfds = [os.pidfd_open(task) for task in (child_pid, guardian)]
    for pidfd in pidfds:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        assert poll.poll(SECONDS * 1000)
        os.close(pidfd)
    for descriptor in (ended, end, told, tell):
        os.close(descriptor)
    os.waitpid(pid, 0)
