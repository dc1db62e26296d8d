import errno
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from ramet._kernel import pidfd, procfs
from ramet.exit_status import ExitStatus

FOREVER = "import signal; signal.pause()"


@pytest.fixture
def running() -> Iterator[int]:
    """A pidfd of a child that runs until it is killed."""
    with subprocess.Popen([sys.executable, "-S", "-c", FOREVER]) as child:
        descriptor = os.pidfd_open(child.pid)
        yield descriptor
        os.close(descriptor)
        child.kill()


@pytest.fixture
def ended() -> Iterator[tuple[int, int]]:
    """The pid and a pidfd of a child that exited with 7 and has not been waited for."""
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 7"], {})
    descriptor = os.pidfd_open(pid)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    yield pid, descriptor
    os.close(descriptor)


def test_a_running_child_is_not_readable(running: int) -> None:
    """Nothing is said of an end before there is one, and no time at all is spent on asking."""
    assert not pidfd.wait_readable(running, 0.0)


@pytest.mark.parametrize("seconds", [0.0001, 0.0105, 0.05])
def test_the_time_given_is_used_up(running: int, seconds: float) -> None:
    """A wait that is given up has lasted for as long as it was allowed to, fractions included."""
    start = time.monotonic()
    assert not pidfd.wait_readable(running, seconds)
    assert time.monotonic() - start >= seconds


@pytest.mark.parametrize("seconds", [None, 0.0, 1e-9, 1.0, 1e7, 1e308, math.inf])
def test_an_ended_child_is_readable_at_once(ended: tuple[int, int], seconds: float | None) -> None:
    """An end is seen whatever the time allowed, however short or long."""
    pid, descriptor = ended
    assert pidfd.wait_readable(descriptor, seconds)
    os.waitpid(pid, 0)


def test_the_wait_ends_with_the_child(running: int) -> None:
    """A wait without a limit comes back when the child ends."""
    signal.pidfd_send_signal(running, signal.SIGKILL)
    assert pidfd.wait_readable(running, None)


def test_without_a_pidfd_nothing_is_known() -> None:
    """There is no status without a pidfd."""
    assert pidfd.exit_status(None) == ExitStatus.unknown()


def test_a_file_that_is_no_pidfd_tells_nothing() -> None:
    """Another kind of file gives no status."""
    read_end, write_end = os.pipe()
    assert pidfd.exit_status(read_end) == ExitStatus.unknown()
    os.close(read_end)
    os.close(write_end)


def test_a_child_that_nobody_reaped_tells_its_end(ended: tuple[int, int]) -> None:
    """/proc shows the status as long as the parent may still wait for it."""
    pid, descriptor = ended
    assert pidfd.exit_status(descriptor) == ExitStatus(code=7, reason="exited")
    os.waitpid(pid, 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=str)
def test_a_child_that_was_killed_tells_its_signal(number: signal.Signals) -> None:
    """The same word has the signal."""
    pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    descriptor = os.pidfd_open(pid)
    signal.pidfd_send_signal(descriptor, number)
    assert pidfd.wait_readable(descriptor, None)
    assert pidfd.exit_status(descriptor) == ExitStatus(signal=number, reason="signaled")
    os.waitpid(pid, 0)
    os.close(descriptor)


@pytest.mark.parametrize("code", [0, 7])
def test_a_status_that_may_not_be_seen_is_not_taken_for_0(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/proc has a 0 in its place: that of a child which may not be traced is unknown."""

    def refuse(path: str) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"exit {code}"], {})
    descriptor = os.pidfd_open(pid)
    assert pidfd.wait_readable(descriptor, None)
    monkeypatch.setattr(os, "readlink", refuse)
    words = procfs.stat(pid)
    words[49] = "0"
    monkeypatch.setattr(procfs, "stat", lambda task: words)
    assert pidfd.exit_status(descriptor) == ExitStatus.unknown()
    monkeypatch.undo()
    os.waitpid(pid, 0)
    os.close(descriptor)


def test_a_child_that_still_runs_tells_nothing(running: int) -> None:
    """It has no status yet, though /proc has a number in its place."""
    assert pidfd.exit_status(running) == ExitStatus.unknown()


def test_a_reaped_child_tells_its_end_where_the_kernel_keeps_it(ended: tuple[int, int]) -> None:
    """PIDFD_INFO_EXIT (Linux 6.15) gives the status of a child that somebody else has reaped."""
    pid, descriptor = ended
    os.waitpid(pid, 0)
    status = pidfd.exit_status(descriptor)
    release = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))
    assert status == (ExitStatus(code=7, reason="exited") if release >= (6, 15) else ExitStatus())


@pytest.mark.parametrize("has_info", [True, False])
def test_the_pids_of_pidfds(
    ended: tuple[int, int], has_info: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As os.getpid() tells them: from the kernel, or from /proc where it does not answer (Linux 6.12)."""
    pid, descriptor = ended
    if not has_info:
        monkeypatch.setattr(pidfd, "_GET_INFO", 0)
    own = os.pidfd_open(os.getpid())
    assert pidfd.pids_of(own, descriptor) == [os.getpid(), pid]
    os.waitpid(pid, 0)
    with pytest.raises(ProcessLookupError):
        pidfd.pids_of(own, descriptor)
    os.close(own)
