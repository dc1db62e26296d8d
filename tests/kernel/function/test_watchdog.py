import ctypes
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import _core

from ...constants import SECONDS, WALL
from ...kernels import KERNEL
from ...seccomp import forbid

GUARDED = F.VM | F.SIGHAND


def watchdogs() -> set[int]:
    """The watchdogs among this process's children, by the name that they give themselves."""
    pids = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # who has ended is none
            for pid in map(int, listing.read_text().split()):
                if Path(f"/proc/{pid}/comm").read_text() == "ramet-watchdog\n":
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
    """Makes children that need a watchdog, and run until they are let go."""
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


def test_one_watchdog_for_all(
    nothing_left: object, guarded: Callable[[], ramet.Child[bytes]]
) -> None:
    """It is made with the first child that needs it, and guards the others as well."""
    guarded()
    first = watchdogs()
    assert len(first) == 1
    guarded()
    guarded()
    assert watchdogs() == first


def test_who_needs_none_gets_none(nothing_left: object) -> None:
    """Most children in shared memory hear of the caller's end themselves."""
    for flags in (F.VM, F.VM | F.VFORK, F.VM | F.FILES, F.VM | F.SIGHAND | F.THREAD):
        ramet.clone(int, flags=flags).wait(SECONDS)
    assert watchdogs() == set()


def test_it_keeps_nothing_open(
    nothing_left: object, guarded: Callable[[], ramet.Child[bytes]]
) -> None:
    """It holds one descriptor, the caller's pidfd, and no directory but the root."""
    guarded()
    (pid,) = watchdogs()
    (descriptor,) = os.listdir(f"/proc/{pid}/fd")
    assert "pidfd" in os.readlink(f"/proc/{pid}/fd/{descriptor}")
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


def test_nobody_waits_for_it_by_mistake(nothing_left: object) -> None:
    """os.wait() does not see it, and a signal for all does not end it."""

    def fn() -> None:
        ramet.clone(int, flags=GUARDED).wait(SECONDS)
        (pid,) = watchdogs()
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        assert pid in watchdogs()

    ramet.clone(fn).result(SECONDS)  # where there is no other child


def test_it_goes_when_nobody_needs_it(nothing_left: object) -> None:
    """Some seconds after its last child it ends, and the next child gets another."""
    ramet.clone(int, flags=GUARDED).wait(SECONDS)
    (pid,) = watchdogs()
    assert ends(pid)
    assert ramet.clone(int, 5, flags=GUARDED).result(SECONDS) == 5
    assert watchdogs() not in ({pid}, set())


def test_an_exec_of_the_caller_lets_go_of_its_memory() -> None:
    """A caller that becomes another program leaves neither children nor the watchdog in its old memory."""
    end, ended = os.pipe()
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        child = ramet.clone(signal.pause, flags=GUARDED)
        os.write(tell, f"{child.pid} {watchdogs().pop()}\n".encode())
        os.dup2(end, 0)
        os.execv("/bin/sh", ["sh", "-c", "read line"])
    child_pid, watchdog = map(int, os.read(told, 100).split())
    pidfds = [os.pidfd_open(task) for task in (child_pid, watchdog)]
    for pidfd in pidfds:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        assert poll.poll(SECONDS * 1000)
        os.close(pidfd)
    for descriptor in (ended, end, told, tell):
        os.close(descriptor)
    os.waitpid(pid, 0)


def vanishes(pid: int) -> bool:
    """Whether the process ends, and is waited for, in time."""
    deadline = time.monotonic() + SECONDS
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        os.sched_yield()
    return not Path(f"/proc/{pid}").exists()


def test_it_is_waited_for(nothing_left: object) -> None:
    """It leaves no zombie when it goes, though no other child is made."""
    ramet.clone(int, flags=GUARDED).wait(SECONDS)
    (pid,) = watchdogs()
    assert vanishes(pid)


def test_that_of_a_suspended_caller_goes_with_the_child(nothing_left: object) -> None:
    """A vfork has the calling thread alone to wait for it: so it ends with the last child."""
    assert (
        ramet.vfork(watchdogs, flags=F.SIGHAND).result(SECONDS) == set()
    )  # it is no child of the child
    assert watchdogs() == set()


def test_that_of_a_suspended_caller_stays_for_others(
    nothing_left: object, guarded: Callable[[], ramet.Child[bytes]]
) -> None:
    """Others that it guards are guarded by it still when a vfork is over."""
    guarded()
    before = watchdogs()
    ramet.vfork(int, flags=F.SIGHAND)
    assert watchdogs() == before != set()


def test_a_killed_one_is_replaced(
    nothing_left: object, guarded: Callable[[], ramet.Child[bytes]]
) -> None:
    """When somebody kills it, the next child gets another."""
    guarded()
    (first,) = watchdogs()
    os.kill(first, signal.SIGKILL)
    assert ends(first)
    guarded()
    (second,) = watchdogs()
    assert second != first
    assert not Path(f"/proc/{first}").exists()


def test_a_refused_clone_call_leaves_none(nothing_left: object) -> None:
    """No watchdog remains that was started for a child that the kernel refused."""
    for flags in GUARDED, GUARDED | F.VFORK:
        with pytest.raises(ramet.CloneError):
            ramet.clone(int, flags=flags, set_tid=[os.getpid()])
        assert watchdogs() == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="chooses a pid, which needs root")
def test_the_next_owner_of_its_pid_is_left_alone(nothing_left: object) -> None:
    """When others have waited for it, a child that has its pid now is not killed, nor waited for."""
    ramet.clone(int, flags=GUARDED).wait(SECONDS)
    (pid,) = watchdogs()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, WALL)
    with ramet.Popen(["sleep", "1000"], set_tid=[pid]) as other:
        _core.drain()
        assert other.poll() is None
        other.kill()


# ---- what keeps it from coming


def be_refused() -> None:
    """What a watchdog does first ends it: as a filter does that ends who makes a forbidden call."""
    forbid("chdir")
    for call, flags in (ramet.clone, F.VM | F.SIGHAND), (ramet.vfork, F.SIGHAND):
        try:
            call(int, flags=flags)
        except ramet.CloneError as error:
            assert "watchdog" in str(error)
        else:
            raise AssertionError("a child without a watchdog was made")
    assert ramet.clone(int, 7, flags=F.VM).result(20) == 7


@pytest.mark.skipif(
    KERNEL < (5, 16),
    reason="before Linux 5.16 one that dumps core takes all along that share its memory",
)
def test_without_it_there_is_no_child() -> None:
    """A child that would outlive its caller is not made: the error names what could not be had."""
    ramet.clone(be_refused).result(SECONDS)


def test_it_does_not_become_an_init() -> None:
    """A pid namespace made for the caller's children would end with its first process."""

    def fn() -> None:
        assert ctypes.CDLL(None).unshare(int(F.NEWPID)) == 0
        with pytest.raises(ramet.CloneError, match="watchdog"):
            ramet.vfork(int, flags=F.SIGHAND)
        assert ramet.vfork(os.getpid).result(SECONDS) == 1

    ramet.clone(fn, flags=F.NEWUSER).result(SECONDS)
