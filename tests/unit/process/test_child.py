import gc
import math
import os
import signal
import threading
import warnings
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ramet import _core
from ramet._core import new_child
from ramet._kernel import pidfd
from ramet._kernel.timeouts import checked_timeout
from ramet._process import unreaped
from ramet._process.child import Child
from ramet._process.result_channel import RAISED, VALUE
from ramet.errors import ChildDied, TimeoutExpired
from ramet.exit_status import ExitStatus
from ramet.flags import CloneFlag


class Prepared:
    """An outcome that is there from the start, and counts how often it is taken."""

    def __init__(self, kind: int, value: object) -> None:
        self.outcome = kind, value
        self.taken = 0

    def take(self) -> tuple[int, Any]:
        self.taken += 1
        return self.outcome


def standing_for(pid: int, pidfd: int | None, flags: int, what: object) -> Child[Any]:
    """The handle of a task that was made without any of this library."""
    child: Child[Any] = new_child(Child, what, flags, False)
    child._hold(pid, pidfd)
    return child


def sleeper(outcome: Prepared | None = None, *, with_pidfd: bool = True) -> Child[Any]:
    """A child, made without any of this library, that runs until it is killed."""
    pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    pidfd = os.pidfd_open(pid) if with_pidfd else None
    child = standing_for(pid, pidfd, CloneFlag(0), "sleep")
    child._outcome = outcome
    return child


@pytest.fixture(params=[True, False], ids=["pidfd", "pid"])
def child(request: pytest.FixtureRequest) -> Iterator[Child[Any]]:
    """A running child, with a pidfd and as kernels before 5.3 have it."""
    with sleeper(with_pidfd=request.param) as made:
        yield made


@pytest.mark.parametrize("timeout", [None, 0, 0.0, 1, 2.5, math.inf])
def test_seconds_are_seconds(timeout: float | None) -> None:
    """Numbers of seconds and None are taken as they are."""
    assert checked_timeout(timeout) == timeout


@pytest.mark.parametrize(
    ("timeout", "error", "words"),
    [
        (-1, ValueError, "got -1"),
        pytest.param(10**400, ValueError, "seconds or less", id="beyond a float"),
        (-1e-9, ValueError, "0 seconds or more"),
        (-math.inf, ValueError, "0 seconds or more"),
        (math.nan, ValueError, "got nan"),
        ("1", TypeError, "'1'"),
        (True, TypeError, "True"),
        (1j, TypeError, "seconds"),
    ],
)
def test_what_is_no_time_is_refused(timeout: Any, error: type[Exception], words: str) -> None:
    """A timeout that is negative, no number or of another type is one clear error."""
    with pytest.raises(error, match=words):
        checked_timeout(timeout)


def test_a_running_child_has_no_status(child: Child[Any]) -> None:
    """While it runs there is no status, and asking does not wait."""
    assert child.poll() is None
    assert child.exit_status is None
    assert "running" in repr(child)


def test_a_killed_child_tells_so(child: Child[Any]) -> None:
    """The status names the signal, comes with what was used, and stays."""
    child.kill()
    status = child.wait()
    assert status == ExitStatus(signal=signal.SIGKILL, reason="signaled")
    assert status.rusage is not None
    assert child.poll() is child.wait(0) is child.exit_status is status
    assert "killed by SIGKILL" in repr(child)


def test_time_runs_out(child: Child[Any]) -> None:
    """A wait that is given up says for what and for how long, and the child runs on."""
    with pytest.raises(TimeoutExpired, match=r"0\.01") as caught:
        child.wait(0.01)
    assert (caught.value.cmd, caught.value.timeout) == ("sleep", 0.01)
    assert child.poll() is None


def test_a_stopped_child_has_not_ended(child: Child[Any]) -> None:
    """A stop is not an end, nor is the resuming."""
    child.stop()
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    assert child.poll() is None
    child.resume()
    os.waitid(os.P_PID, child.pid, os.WCONTINUED)
    assert child.poll() is None


def test_terminate_is_sigterm(child: Child[Any]) -> None:
    """terminate() asks with SIGTERM."""
    child.terminate()
    assert child.wait().signal == signal.SIGTERM


def test_a_pidfd_is_there_until_the_end() -> None:
    """fileno() is the pidfd as long as it is open, and then an error."""
    with sleeper() as child:
        assert child.fileno() == child.pidfd
    assert child.pidfd is None
    with pytest.raises(ValueError, match="no pidfd"):
        child.fileno()


@pytest.mark.parametrize("number", [-1, 65, 1000])
def test_what_is_no_signal_is_refused(child: Child[Any], number: int) -> None:
    """A number outside of 0 to 64 is named in the error."""
    with pytest.raises(ValueError, match=str(number)):
        child.send_signal(number)


def test_signal_0_only_asks(child: Child[Any]) -> None:
    """Signal 0 is sent and does nothing, as in kill(2)."""
    child.send_signal(0)
    assert child.poll() is None


def test_a_thread_gets_no_signals() -> None:
    """A signal to a thread would be one to the whole process, so it is refused."""
    thread = standing_for(os.getpid(), None, CloneFlag.THREAD, "fn")
    with pytest.raises(ValueError, match="thread"):
        thread.kill()
    thread._keep_status(ExitStatus.unknown())


@pytest.mark.parametrize("send", ["kill", "terminate", "stop", "resume"])
def test_signals_after_the_end_do_nothing(send: str) -> None:
    """What has been waited for is sent nothing, whichever process has its pid by now."""
    with sleeper() as child:
        child.kill()
        child.wait()
    child._hold(os.getpid(), None)
    if send != "kill":  # a mistake here would end the test run, which is hard to miss
        getattr(child, send)()


def test_a_zombie_takes_signals_in_silence(child: Child[Any]) -> None:
    """Between its end and the wait a signal is no error and changes nothing."""
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    child.terminate()
    assert child.wait().signal == signal.SIGKILL


def test_a_result_is_taken_once() -> None:
    """The outcome is fetched once and let go, and the result is the same object each time."""
    outcome = Prepared(VALUE, object())
    gone = weakref.ref(outcome)
    with sleeper(outcome) as child:
        child.kill()
        assert child.result() is child.result() is outcome.outcome[1]
        assert child.exception() is None
        assert outcome.taken == 1
        del outcome
        gc.collect()
        assert gone() is None


def test_an_exception_is_raised_or_handed_over() -> None:
    """result() raises what the function raised, exception() returns it."""
    error = KeyError("it")
    with sleeper(Prepared(RAISED, error)) as child:
        child.kill()
        with pytest.raises(KeyError) as caught:
            child.result()
        assert caught.value is child.exception() is error


@pytest.mark.parametrize("ask", ["result", "exception"])
def test_a_child_without_an_outcome_died(ask: str) -> None:
    """The error for an outcome that does not exist tells how the child ended, and which."""
    with sleeper() as child:
        child.kill()
        with pytest.raises(ChildDied, match=r"killed by SIGKILL") as caught:
            getattr(child, ask)()
    assert (caught.value.pid, caught.value.status) == (child.pid, child.exit_status)


def test_a_block_that_is_left_kills() -> None:
    """With kills and reaps what still runs, also when an exception leaves it."""
    with pytest.raises(LookupError), sleeper() as child:
        raise LookupError
    assert child.exit_status == ExitStatus(signal=signal.SIGKILL, reason="signaled")


def test_a_child_that_somebody_else_reaped_has_ended(child: Child[Any]) -> None:
    """Where the status went elsewhere, the end is seen all the same."""
    os.kill(child.pid, signal.SIGKILL)
    os.waitpid(child.pid, 0)
    assert child.wait(20).signal in {None, signal.SIGKILL}


def in_a_wait(thread: int) -> bool:
    """Whether that thread of this process is in a system call, as one that waits is."""
    state = Path(f"/proc/self/task/{thread}/syscall").read_text(encoding="ascii")
    return not state.startswith("running")


@pytest.mark.parametrize("timeout", [None, 20])
def test_a_handler_may_end_and_ask_in_the_midst_of_a_wait(
    child: Child[Any], timeout: float | None
) -> None:
    """A signal handler that learns the end first leaves it to the wait that it came into."""
    told: list[ExitStatus | None] = []
    main = threading.get_native_id()

    def end_it(*_: object) -> None:
        os.kill(child.pid, signal.SIGKILL)
        told.append(child.wait())

    def interrupt() -> None:
        while not in_a_wait(main):
            os.sched_yield()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    old = signal.signal(signal.SIGUSR1, end_it)
    thread = threading.Thread(target=interrupt)
    thread.start()
    status = child.wait(timeout)
    thread.join()
    signal.signal(signal.SIGUSR1, old)
    assert told == [status]
    assert status == ExitStatus(signal=signal.SIGKILL, reason="signaled") == child.exit_status
    assert child.pidfd is None


@pytest.mark.parametrize("timeout", [None, 20])
def test_all_who_wait_learn_the_same(timeout: float | None) -> None:
    """The kernel tells one task alone how a child ended, and the others learn it from that one."""
    for _ in range(20):
        with sleeper() as child, ThreadPoolExecutor(4) as others:
            told = [others.submit(child.wait, timeout) for _ in range(4)]
            os.kill(child.pid, signal.SIGKILL)
            status = child.wait(timeout)
        assert status == ExitStatus(signal=signal.SIGKILL, reason="signaled")
        assert [one.result() for one in told] == [status] * 4
        assert child.pidfd is None


def test_a_forgotten_child_warns_and_is_reaped_later() -> None:
    """A handle that goes before its child warns, and the next clone call reaps the child."""
    child = sleeper()
    pid, pidfd = child.pid, os.dup(child.fileno())
    with pytest.warns(ResourceWarning, match=f"child {pid} was never waited for"):
        del child
        gc.collect()
    unreaped.reap_ended()
    assert os.path.exists(f"/proc/{pid}")
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    unreaped.reap_ended()
    assert unreaped.unreaped == []
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)
    os.close(pidfd)


@pytest.mark.filterwarnings("error")
def test_a_block_that_was_not_left_kills_its_child() -> None:
    """As when a signal handler raises before the block has begun: Python 3.14 does not leave it then."""
    child = sleeper()
    pid = child.pid
    child.__enter__()
    del child
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert ended.si_status == signal.SIGKILL
    unreaped.reap_ended()
    assert unreaped.unreaped == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_is_reaped_where_warnings_are_errors() -> None:
    """The exception goes to sys.unraisablehook, and the child is reaped all the same."""
    child = sleeper()
    pidfd = os.dup(child.fileno())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del child
        gc.collect()
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    unreaped.reap_ended()
    assert unreaped.unreaped == []
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)


def test_a_child_that_was_waited_for_is_forgotten_in_silence() -> None:
    """No warning for a child whose end is known."""
    child = sleeper()
    child.kill()
    child.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del child
        gc.collect()
    assert unreaped.unreaped == []


def test_a_child_that_was_never_made_is_forgotten_in_silence() -> None:
    """A clone call that failed leaves a handle that goes without a word."""
    new_child(Child, "fn", CloneFlag(0), False)
    gc.collect()
    assert unreaped.unreaped == []


def test_a_copy_in_a_fork_leaves_the_child_alone() -> None:
    """A forked process that drops its copy of a handle neither warns nor reaps nor kills."""
    with sleeper() as child:
        pid = os.fork()
        if pid == 0:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                child.__exit__(None, None, None)
            os._exit(0)
        assert os.waitpid(pid, 0) == (pid, 0)
        assert child.poll() is None


def test_a_child_that_is_nobodys_to_wait_for_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a pidfd: the kernel is about to reap it by itself, or another process has to."""
    there = iter([True, True, True, False])

    def no_child(*_: object) -> None:
        raise ChildProcessError

    monkeypatch.setattr(_core, "waitid", no_child)
    monkeypatch.setattr(pidfd, "exists", lambda _: next(there, False))
    child = standing_for(1 << 22, None, CloneFlag(0), "nothing")
    assert not child._has_ended(0)
    assert child.wait(30) == ExitStatus.unknown()
    assert list(there) == []
