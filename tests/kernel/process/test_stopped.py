import os
import signal
from collections.abc import Callable
from typing import TypeVar

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import TimeoutExpired

from ...constants import SECONDS
from ...looking import state_of

T = TypeVar("T")

MEMORIES = pytest.mark.parametrize(
    "memory", [F(0), F.FS, F.VM, F.VM | F.SIGHAND, F.VM | F.DETACHED], ids=str
)


def in_a_process_between(fn: Callable[[], T]) -> T:
    """Run fn in a child of this process, so that this process is the parent of its caller."""
    return ramet.clone(fn).result(SECONDS)


@MEMORIES
def test_the_function_begins_when_it_is_resumed(memory: F, nothing_left: object) -> None:
    """The child is stopped when the call returns, and has not begun."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    child = ramet.clone(os.write, write_end, b"begun", flags=memory | F.STOPPED)
    assert state_of(child.pid) == "T"
    with pytest.raises(BlockingIOError):
        os.read(read_end, 5)
    with pytest.raises(TimeoutExpired):
        child.wait(0.01)
    child.resume()
    assert child.result(SECONDS) == 5
    assert os.read(read_end, 5) == b"begun"
    os.close(read_end)
    os.close(write_end)


@MEMORIES
def test_the_stop_is_reported(memory: F, nothing_left: object) -> None:
    """The parent can wait for the stop as for any other, and then for the resuming."""
    with ramet.clone(signal.pause, flags=memory | F.STOPPED) as child:
        stopped = os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        assert stopped is not None
        assert (stopped.si_code, stopped.si_status) == (os.CLD_STOPPED, signal.SIGSTOP)
        child.resume()
        assert os.waitid(os.P_PID, child.pid, os.WCONTINUED) is not None


@MEMORIES
def test_a_stopped_child_can_be_killed(memory: F, nothing_left: object) -> None:
    """A child that was never resumed can be killed, and its function has not run."""
    ran: list[int] = []
    child = ramet.clone(ran.append, 1, flags=memory | F.STOPPED)
    child.kill()
    assert child.wait(SECONDS).signal == signal.SIGKILL
    assert ran == []


def test_a_forked_child_may_begin_stopped(nothing_left: object) -> None:
    """fork(STOPPED) returns in the child when it is resumed."""
    pid = ramet.fork(F.STOPPED)
    if pid == 0:
        os._exit(4)
    assert state_of(pid) == "T"
    os.kill(pid, signal.SIGCONT)
    assert os.waitpid(pid, 0) == (pid, 4 << 8)


@pytest.mark.parametrize("memory", [F(0), F.VM], ids=str)
def test_a_sibling_may_begin_stopped(memory: F, nothing_left: object) -> None:
    """With PARENT nobody reports the stop to the caller, and yet the child is stopped."""

    def fn() -> tuple[int, str, int]:
        child = ramet.clone(os.getpid, flags=memory | F.PARENT | F.STOPPED)
        state = state_of(child.pid)
        child.resume()
        return child.pid, state, child.result(SECONDS)

    pid, state, result = in_a_process_between(fn)
    assert (state, result) == ("T", pid)
    assert os.waitpid(pid, 0) == (pid, 0)


def test_a_stopped_child_in_a_pid_namespace(nothing_left: object) -> None:
    """The first process of a pid namespace may begin stopped, too."""
    rights = F(0) if os.geteuid() == 0 else F.NEWUSER
    child = ramet.clone(os.getpid, flags=F.NEWPID | F.STOPPED | rights)
    assert state_of(child.pid) == "T"
    child.resume()
    assert child.result(SECONDS) == 1


@pytest.mark.parametrize("flags", [F.VM | F.SIGHAND | F.THREAD, F.VFORK, F.VM | F.VFORK], ids=str)
def test_what_could_not_be_resumed_is_refused(flags: F, nothing_left: object) -> None:
    """A thread would stop its whole process, a suspended caller could resume nobody."""
    with pytest.raises(ramet.CloneError, match="ramet-stopped"):
        ramet.clone(int, flags=flags | F.STOPPED)


def test_others_may_resume_it(nothing_left: object) -> None:
    """SIGCONT from anybody lets it begin."""
    child = ramet.clone(os.getpid, flags=F.STOPPED)
    other = ramet.clone(os.kill, child.pid, signal.SIGCONT)
    other.result(SECONDS)
    assert child.result(SECONDS) == child.pid


@MEMORIES
def test_a_stopped_child_that_is_asked_to_end_does(memory: F, nothing_left: object) -> None:
    """It need not be resumed for it, and its function has not run."""
    ran: list[int] = []
    child = ramet.clone(ran.append, 1, flags=memory | F.STOPPED)
    child.terminate(SECONDS)
    ended = child.wait(SECONDS)
    assert (ended.signal, ended.code) in {(signal.SIGTERM, None), (None, 128 + signal.SIGTERM)}
    assert ran == []


def test_a_stopped_program_that_is_asked_to_end_does(nothing_left: object) -> None:
    """Before its program, or in its first moments."""
    child = ramet.Command(["sleep", "60"], flags=F.STOPPED).spawn()
    child.terminate()
    assert child.wait(SECONDS).signal == signal.SIGTERM


@MEMORIES
def test_a_stopped_child_shows_that_it_is(memory: F, nothing_left: object) -> None:
    """As long as nobody has resumed it; a later stop is not the clone call's."""
    with ramet.clone(signal.pause, flags=memory | F.STOPPED) as child:
        assert "stopped, waits for resume()" in repr(child)
        child.resume()
        assert os.waitid(os.P_PID, child.pid, os.WCONTINUED) is not None
        assert repr(child).endswith("running>")
        child.stop()
        assert os.waitid(os.P_PID, child.pid, os.WSTOPPED) is not None
        assert repr(child).endswith("running>")
