import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import pytest

import ramet
from ramet import ChildDied, Interrupted
from ramet import CloneFlag as F
from ramet._function import left_threads

from ...constants import SECONDS
from ...waiting import until

THREAD = F.VM | F.SIGHAND | F.THREAD

SHARING = pytest.mark.parametrize("flags", [F.VM, F.VM | F.SIGHAND, THREAD], ids=str)


class Loop:
    """A function that runs until it is stopped, and tells where it is."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.tidied: list[str] = []

    def __call__(self) -> None:
        try:
            self.begun.set()
            while True:
                pass
        finally:
            self.tidied.append("finally")


def stubborn(begun: threading.Event) -> None:
    """It takes no exception for an answer."""
    while True:
        try:
            while True:
                begun.set()
        except BaseException:
            pass


@SHARING
def test_a_function_is_interrupted(flags: F, nothing_left: object) -> None:
    """Interrupt() raises in the function, finally runs, and there is no result."""
    loop = Loop()
    child = ramet.clone(loop, flags=flags)
    loop.begun.wait(SECONDS)
    assert child.interrupt()
    with pytest.raises(ChildDied):
        child.result(SECONDS)
    assert loop.tidied == ["finally"]
    if flags != THREAD:
        assert child.wait().code == 143


@SHARING
def test_another_exception_is_an_outcome(flags: F, nothing_left: object) -> None:
    """What is raised in it is the caller's to catch, as if the function had raised it."""
    loop = Loop()
    child = ramet.clone(loop, flags=flags)
    loop.begun.wait(SECONDS)
    child.interrupt(LookupError)
    with pytest.raises(LookupError):
        child.result(SECONDS)


def test_it_can_be_caught(nothing_left: object) -> None:
    """A function may go on after it; no `except Exception` stops it by mistake."""
    loop = Loop()

    def fn() -> str:
        try:
            loop()
        except Exception:
            return "by mistake"
        except Interrupted:
            return "caught"
        return "never"

    child = ramet.clone(fn, flags=F.VM)
    loop.begun.wait(SECONDS)
    child.interrupt()
    assert child.result(SECONDS) == "caught"


def for_a_second() -> str:
    end = time.monotonic() + 1
    while time.monotonic() < end:
        os.sched_yield()
    return "never interrupted"


@SHARING
def test_right_after_its_clone_call(flags: F, nothing_left: object) -> None:
    """A function is interrupted also where its task has not come to it yet, by whatever exception."""
    for _ in range(20):
        child = ramet.clone(for_a_second, flags=flags)
        assert child.interrupt()
        with pytest.raises(ChildDied):
            child.result(SECONDS)
        if flags != THREAD:
            assert child.wait().code == 143
        child = ramet.clone(for_a_second, flags=flags)
        assert child.interrupt(LookupError)
        assert isinstance(child.exception(SECONDS), LookupError)


def test_terminate_right_after_its_clone_call(nothing_left: object) -> None:
    """It is not killed, and nothing of it is lost."""
    for _ in range(20):
        child = ramet.clone(for_a_second, flags=F.VM)
        child.terminate(SECONDS)
        assert child.wait().code == 143
        assert child.losses is None


def test_it_reaches_nobody_else(nothing_left: object) -> None:
    """After its end there is nothing to interrupt, whichever child has the host thread by now."""
    for _ in range(300):
        first = ramet.clone(int, flags=F.VM)
        first.interrupt()  # before, while or after it runs
        first.wait(SECONDS)
        assert not first.interrupt()
        assert ramet.clone(sum, range(50), flags=F.VM).result(SECONDS) == 1225


@pytest.mark.parametrize("flags", [F(0), F.FILES, F.VM | F.VFORK], ids=str)
def test_who_cannot_be_interrupted_says_so(flags: F, nothing_left: object) -> None:
    """A memory of its own is an error; a child of vfork() has ended before one could."""
    with ramet.clone(int, flags=flags) as child:
        if flags & F.VM:
            assert not child.interrupt()
        else:
            with pytest.raises(ValueError, match="memory of its own"):
                child.interrupt()


@pytest.mark.parametrize("exception", [LookupError("an instance"), int, None])
def test_what_is_no_exception_is_refused(exception: type[BaseException]) -> None:
    """Only a class of exceptions can be raised in another thread of control."""
    with ramet.clone(int, flags=F.VM) as child, pytest.raises(TypeError, match="class"):
        child.interrupt(exception)


def test_terminate_lets_it_tidy_up(nothing_left: object) -> None:
    """A function that can be interrupted is not killed."""
    loop = Loop()
    child = ramet.clone(loop, flags=F.VM)
    loop.begun.wait(SECONDS)
    child.terminate(SECONDS)
    assert child.wait(SECONDS).code == 143
    assert loop.tidied == ["finally"]


def sleeping(begun: threading.Event) -> None:
    begun.set()
    time.sleep(1000)


@pytest.mark.parametrize("fn", [stubborn, sleeping])
def test_terminate_kills_after_a_time_of_grace(
    fn: Callable[[threading.Event], None], nothing_left: object
) -> None:
    """Who does not hear, or does not listen, is killed."""
    begun = threading.Event()
    child = ramet.clone(fn, begun, flags=F.VM)
    begun.wait(SECONDS)
    child.terminate(0.01)
    assert child.wait(SECONDS).signal == signal.SIGKILL


@pytest.mark.parametrize("flags", [F(0), F.VM])
def test_a_grace_that_is_no_time(flags: F, nothing_left: object) -> None:
    """It is refused, and the child is not asked to end."""
    reading, writing = os.pipe()
    child = ramet.clone(os.read, reading, 1, flags=flags)
    with pytest.raises(ValueError, match="invalid grace: expected 0 seconds or more, got -1"):
        child.terminate(-1)
    os.write(writing, b"x")
    assert child.result(SECONDS) == b"x"
    os.close(reading)
    os.close(writing)


def test_terminate_of_a_thread_that_has_ended_does_nothing(nothing_left: object) -> None:
    """As of a process; whether it has been waited for or not."""
    child = ramet.clone(int, flags=THREAD)
    assert ramet.wait([child], SECONDS) == [child]
    child.terminate()
    assert child.result(SECONDS) == 0
    child.terminate()


def test_an_interrupt_that_came_too_late_is_no_trouble(nothing_left: object) -> None:
    """Before 3.13 one flag tells all threads of it, and on 3.11 a traced function would hang by it."""
    for fn in (threading.Event.set, sleeping):
        begun = threading.Event()
        child = ramet.clone(fn, begun, flags=F.VM)
        begun.wait(SECONDS)
        child.interrupt()
        child.kill()
        child.wait(SECONDS)

        def traced() -> str:
            sys.settrace(lambda *args: None)
            sys.setprofile(lambda *args: None)
            text = "".join(str(Path("a").with_name(str(number))) for number in range(10))
            sys.settrace(None)
            sys.setprofile(None)
            return text

        assert ramet.clone(traced, flags=F.VM).result(SECONDS) == "0123456789"


def runs(ident: int, code: CodeType) -> bool:
    """Whether that thread is in a function with this code."""
    frame = sys._current_frames().get(ident)
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


class LeavesAThread:
    """A function that starts a thread, for which its child waits when it has returned."""

    def __init__(self, body: Callable[[], object]) -> None:
        self.body = body
        self.ident = 0
        self.thread_ended = False

    def __call__(self) -> str:
        self.ident = threading.get_ident()
        threading.Thread(target=self.run).start()
        return "it returned"

    def run(self) -> None:
        self.body()
        self.thread_ended = True

    def is_waited_for(self) -> bool:
        return self.ident != 0 and runs(self.ident, left_threads.join.__code__)


def test_after_its_function_nothing_is_raised(nothing_left: object) -> None:
    """What the library does at the end of a child is not left half done: it waits for threads."""
    may_end = threading.Event()
    fn = LeavesAThread(lambda: may_end.wait(SECONDS))
    child = ramet.clone(fn, flags=F.VM)
    until(fn.is_waited_for)
    assert not child.interrupt()
    may_end.set()
    assert child.result(SECONDS) == "it returned"
    assert child.wait().code == 0
    assert fn.thread_ended


def test_terminate_gives_a_function_that_has_returned_its_time(nothing_left: object) -> None:
    """It cannot be asked any more, and is not killed for that."""
    caller = threading.get_ident()
    fn = LeavesAThread(lambda: until(lambda: runs(caller, ramet.Child.terminate.__code__)))
    child = ramet.clone(fn, flags=F.VM)
    until(fn.is_waited_for)
    child.terminate(SECONDS)
    assert child.result(SECONDS) == "it returned"
    assert fn.thread_ended


def test_a_dead_function_gets_none(
    nothing_left: object, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An interrupt that meets the recovery does nothing, and that comes to its end."""
    recovers, may_go_on, begun = threading.Event(), threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def with_a_thread() -> None:
        threads.append(threading.Thread(target=time.sleep, args=(1000,)))
        threads[0].start()
        sleeping(begun)

    def held(_: int) -> bool:
        recovers.set()
        may_go_on.wait(SECONDS)
        return False

    child = ramet.clone(with_a_thread, flags=F.VM)
    begun.wait(SECONDS)
    monkeypatch.setattr(left_threads, "_have_still_to_end", held)
    child.kill()
    assert recovers.wait(SECONDS)
    interrupted = child.interrupt()
    may_go_on.set()
    child.wait(SECONDS)
    threads[0].join(SECONDS)
    assert not interrupted
    assert not threads[0].is_alive()
    assert capfd.readouterr().err == ""
