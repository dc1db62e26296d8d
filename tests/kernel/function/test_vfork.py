import contextlib
import ctypes
import functools
import gc
import os
import platform
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

import ramet
from ramet import Child, ChildDied, ExitStatus, _core, lowlevel
from ramet import CloneFlag as F

from ...constants import SECONDS, repeated
from ...looking import state_of
from ...waiting import a_random_moment, nothing_unreaped, until


class Counter(threading.Thread):
    """Another Python thread, which counts as long as it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.watched: int | None = None
        self.states: set[str] = set()
        self._going_on = True

    def run(self) -> None:
        while self._going_on:
            self.count += 1
            if self.watched is not None:
                self.states.add(state_of(f"self/task/{self.watched}"))

    def end(self) -> None:
        self._going_on = False
        self.join()


@pytest.fixture
def counter() -> Iterator[Counter]:
    """A Python thread that keeps counting."""
    thread = Counter()
    thread.start()
    yield thread
    thread.end()


def deep(frames: int, fn: Callable[[], int]) -> int:
    """Call fn that many frames further down."""
    return fn() if frames == 0 else deep(frames - 1, fn)


def execute(code: int) -> NoReturn:
    os.execv("/bin/sh", ["sh", "-c", f"exit {code}"])


def test_the_result_is_the_object(nothing_left: object) -> None:
    """The memory is shared, so the result is the object itself."""
    thing = object()
    child = ramet.vfork(lambda: (thing, os.getpid(), os.getppid()))
    assert child.result(SECONDS) == (thing, child.pid, os.getpid())
    assert child.flags & (F.VM | F.VFORK) == F.VM | F.VFORK


def test_it_comes_back_when_the_child_has_ended(nothing_left: object) -> None:
    """Right after the call the work of the child is done."""
    done: list[int] = []
    child = ramet.vfork(done.append, 1)
    assert done == [1]
    assert child.wait(SECONDS) == ExitStatus(code=0, reason="exited")


def test_it_comes_back_at_the_exec(nothing_left: object) -> None:
    """The caller goes on once the program runs, not when it ends."""
    end, ended = os.pipe()

    def fn() -> NoReturn:
        os.dup2(end, 0)
        os.execv("/bin/sh", ["sh", "-c", "read line; exit 8"])

    with ramet.vfork(fn) as child:
        assert child.poll() is None
        os.write(ended, b"go\n")
        assert child.wait(SECONDS) == ExitStatus(code=8, reason="exited")
    with pytest.raises(ChildDied):
        child.result()
    os.close(end)
    os.close(ended)


def test_the_caller_survives_execs_however_deep(counter: Counter) -> None:
    """Exec'ed out of 50 nested frames many times, beside a running thread, the caller is intact."""

    def caller(frames: int, turn: int) -> int:
        if frames:
            return caller(frames - 1, turn)
        mine = object()
        status = ramet.vfork(deep, 50, lambda: execute(turn)).wait(SECONDS)
        assert sys._getframe().f_locals["mine"] is mine
        return -1 if status.code is None else status.code

    before = counter.count
    turns = range(repeated(100))
    assert [caller(20, turn) for turn in turns] == list(turns)
    assert counter.count > before


def test_other_threads_go_on_while_the_caller_is_suspended(counter: Counter) -> None:
    """The child sees another thread of its parent count on, and the caller asleep in state D."""
    counter.watched = threading.get_native_id()

    def fn() -> int:
        counter.states.clear()
        start = counter.count
        while counter.count < start + 100:
            os.sched_yield()
        return counter.count - start

    assert ramet.vfork(fn).result(SECONDS) >= 100
    counter.watched = None
    assert "D" in counter.states


def test_it_works_in_any_thread(counter: Counter, nothing_left: object) -> None:
    """A thread that is not the main one may be the caller."""
    results: list[object] = []

    def fn() -> None:
        results.append(ramet.vfork(threading.get_ident).result(SECONDS))
        results.append(ramet.vfork(execute, 9).wait(SECONDS).code)
        results.append(threading.get_ident())

    thread = threading.Thread(target=fn)
    thread.start()
    thread.join()
    # The child is lent the thread-local block of its caller, and so its identity for libc.
    assert results == [thread.ident, 9, thread.ident]


def test_several_threads_at_once(nothing_left: object) -> None:
    """Four threads call vfork() side by side, fifty times each."""
    codes: list[int | None] = []

    def fn(number: int) -> None:
        for turn in range(50):
            child = ramet.vfork(execute if turn % 2 else os._exit, number)
            codes.append(child.wait(SECONDS).code)

    threads = [threading.Thread(target=fn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(code for code in codes if code is not None) == sorted([0, 1, 2, 3] * 50)


def test_what_it_raises_is_raised(nothing_left: object) -> None:
    """An exception of the function is the caller's to catch, by result()."""
    with pytest.raises(ZeroDivisionError):
        ramet.vfork(lambda: 1 // 0).result(SECONDS)


def test_a_vfork_in_a_vfork(nothing_left: object) -> None:
    """The child may call vfork() in turn."""

    def fn() -> tuple[int, int | None]:
        return os.getpid(), ramet.vfork(execute, 10).wait(SECONDS).code

    child = ramet.vfork(fn)
    assert child.result(SECONDS) == (child.pid, 10)


@pytest.mark.parametrize(
    "flags",
    [F.FILES, F.FS, F.SYSVSEM, F.IO, F.SIGHAND, F.SIGHAND | F.THREAD, F.UNTRACED, F.DETACHED],
    ids=str,
)
def test_it_takes_flags(flags: F, nothing_left: object) -> None:
    """The child shares besides what the flags say."""
    child = ramet.vfork(os.getpid, flags=flags)
    assert child.result(SECONDS) == (os.getpid() if flags & F.THREAD else child.pid)


def test_stopped_is_refused(nothing_left: object) -> None:
    """A suspended caller could not resume a stopped child."""
    with pytest.raises(ramet.CloneError, match="cannot resume"):
        ramet.vfork(int, flags=F.STOPPED)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_is_killed_leaves_the_caller(number: int, nothing_left: object) -> None:
    """A child that dies by a signal, holding the GIL, wakes the caller, and the status tells."""
    child = ramet.vfork(lambda: os.kill(os.getpid(), number))
    with pytest.raises(ChildDied):
        child.result(SECONDS)
    assert child.wait().signal == number


def test_signals_wait_for_the_end(nothing_left: object) -> None:
    """A signal to the suspended caller is handled when it comes back, by the caller."""
    handled: list[int] = []
    old = signal.signal(signal.SIGUSR1, lambda number, frame: handled.append(os.getpid()))

    def fn() -> list[int]:
        os.kill(os.getppid(), signal.SIGUSR1)
        return list(handled)

    assert ramet.vfork(fn).result(SECONDS) == []
    assert handled == [os.getpid()]
    signal.signal(signal.SIGUSR1, old)


def test_handlers_are_refused(nothing_left: object) -> None:
    """In the child signal.signal() says why it does nothing: the table of Python's is the caller's."""
    before = signal.getsignal(signal.SIGUSR1)

    def within() -> None:
        with pytest.raises(ValueError, match="main thread"):
            ramet.vfork(signal.signal, signal.SIGUSR1, signal.SIG_IGN).result(SECONDS)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    with pytest.raises(ValueError, match="main thread"):
        ramet.vfork(within).result(SECONDS)
    assert signal.getsignal(signal.SIGUSR1) == before


@pytest.mark.parametrize(
    "end", [os.getpid, lambda: execute(3), lambda: os._exit(3)], ids=["return", "exec", "exit"]
)
def test_the_callers_handlers_run_in_the_caller(
    end: Callable[[], object], nothing_left: object
) -> None:
    """A signal that comes during the child's life is handled after it, in the main thread as ever."""
    handled: list[int] = []
    old = signal.signal(signal.SIGUSR1, lambda *_: handled.append(os.getpid()))
    caller = os.getpid()

    def fn() -> object:
        os.kill(caller, signal.SIGUSR1)
        for _ in range(1000):  # a handler would run here
            pass
        assert handled == []
        return end()

    try:
        with ramet.vfork(fn):
            assert handled == [caller]
        os.kill(caller, signal.SIGUSR1)
        assert handled == [caller] * 2
    finally:
        signal.signal(signal.SIGUSR1, old)


def least_stack_bytes() -> int:
    """What Python takes for the stack of a thread: 32768, and more since 3.14."""
    size = 32768
    while True:
        with contextlib.suppress(ValueError):
            threading.stack_size(threading.stack_size(size))
            return size
        size += 4096


def test_a_thread_with_too_small_a_stack_is_refused(nothing_left: object) -> None:
    """The child would overflow what its caller's thread has: the error names the minimum."""
    told: list[str] = []

    def call() -> None:
        for verb in ramet.vfork, functools.partial(lowlevel.clone, flags=F.VM | F.VFORK):
            try:
                verb(lambda *_: 0)
            except ValueError as error:
                told.append(str(error))

    def in_thread(size: int, fn: Callable[[], object]) -> None:
        before = threading.stack_size(size)
        thread = threading.Thread(target=fn)
        thread.start()
        threading.stack_size(before)
        thread.join()

    if platform.machine() == "aarch64":
        pytest.skip("libc gives each thread 128 KiB there, which is enough")
    ramet.vfork(str, 5).result()  # to compile what this imports takes more of a stack
    in_thread(least_stack_bytes(), call)
    assert len(told) == 2
    assert all("at least 49152" in words for words in told)
    in_thread(131072, lambda: told.append(ramet.vfork(str, 5).result()))
    assert told[2:] == ["5"]


def thread_states() -> int:
    """How many states Python keeps for threads, when no thread waits for a child to lend itself to."""
    api = ctypes.pythonapi
    for name in "PyInterpreterState_Get", "PyInterpreterState_ThreadHead", "PyThreadState_Next":
        getattr(api, name).restype = ctypes.c_void_p
    _core.drain()
    state = api.PyInterpreterState_ThreadHead(ctypes.c_void_p(api.PyInterpreterState_Get()))
    count = 0
    while state is not None:
        count += 1
        state = api.PyThreadState_Next(ctypes.c_void_p(state))
    return count


def vfork_twice(fn: Callable[..., int], *args: object) -> Child[int]:
    return ramet.vfork(lambda: ramet.vfork(fn, *args).result())


@pytest.mark.parametrize(
    "inner",
    [
        ramet.vfork,
        vfork_twice,
        functools.partial(ramet.vfork, flags=F.SIGHAND | F.FILES),
        functools.partial(ramet.vfork, flags=F.SIGHAND | F.THREAD),
        functools.partial(ramet.clone, flags=F.VM),
    ],
    ids=["vfork", "vfork within vfork", "vfork of a watched child", "vfork of a thread", "clone"],
)
def test_a_function_that_is_killed_while_it_makes_others(
    inner: Callable[..., Child[int]],
) -> None:
    """They die with it where the memory is whole, and nothing of theirs is left, or freed twice."""

    def make_for_ever() -> None:
        while True:
            inner(len, "abc").result()

    numbers = random.Random(1)
    states = thread_states()
    for _ in range(30):
        child = ramet.clone(make_for_ever, flags=F.VM)
        a_random_moment(numbers, 0.02)
        child.kill()
        child.wait(60)
        with open(os.devnull):  # its kind is one that is noted, in the table of who makes it
            assert ramet.vfork(len, "abc").result() == 3
        gc.collect()
    until(nothing_unreaped)
    assert thread_states() <= states
