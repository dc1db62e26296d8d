import contextvars
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

import ramet
from ramet import CloneFlag as F

from ...constants import SECONDS, repeated

THREAD = F.VM | F.SIGHAND | F.THREAD
SHARING = pytest.mark.parametrize("flags", [F.VM, F.VM | F.VFORK, THREAD], ids=str)


class LeakCheck(Protocol):
    """What the fixture nothing_left gives."""

    def start_again(self) -> None: ...


def call(fn: Callable[..., Any], *args: Any, flags: F = F.VM) -> Any:
    return ramet.clone(fn, *args, flags=flags).result(SECONDS)


def threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


def test_a_host_thread_is_used_again(nothing_left: LeakCheck) -> None:
    """One call after the other finds the same host thread, and no thread is made."""
    call(int)
    before = threads()
    assert len({call(threading.get_ident) for _ in range(50)}) == 1
    assert threads() == before


def test_host_threads_that_nobody_needs_end(nothing_left: LeakCheck) -> None:
    """After a few seconds at rest their threads are gone."""
    nothing_left.start_again()
    before = threads()
    children = [ramet.clone(int, flags=F.VM) for _ in range(5)]
    for child in children:
        child.wait(SECONDS)
    deadline = time.monotonic() + SECONDS
    while threads() > before:
        assert time.monotonic() < deadline
        os.sched_yield()
    assert call(os.getppid) == os.getpid()


def test_a_forgotten_childs_host_thread_is_found_again(nothing_left: LeakCheck) -> None:
    """Who lets go of a handle before the end of the child does not cost a host thread."""
    call(int)
    before = threads()
    for _ in range(20):
        child = ramet.clone(int, flags=THREAD)
        assert ramet.clone(int, flags=F.VM).result(SECONDS) == 0
        child.wait(SECONDS)
        del child
    assert len(threads() - before) <= 2


@SHARING
def test_nothing_is_left_for_the_next(flags: F, nothing_left: LeakCheck) -> None:
    """Thread-local data, context variables, tracing and hooks of one function are not the next one's."""
    local = threading.local()
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    def leave(kind: str) -> None:
        if kind == "local":
            local.value = 1
        elif kind == "variable":
            variable.set(1)
        elif kind == "trace":
            sys.settrace(lambda *args: None)
        elif kind == "profile":
            sys.setprofile(lambda *args: None)
        elif kind == "hooks":
            sys.set_asyncgen_hooks(lambda generator: None)
        elif kind == "origin":
            sys.set_coroutine_origin_tracking_depth(3)

    def found() -> tuple[Any, ...]:
        return (
            getattr(local, "value", 0),
            variable.get(),
            sys.gettrace(),
            sys.getprofile(),
            sys.get_asyncgen_hooks().firstiter,
            sys.get_coroutine_origin_tracking_depth(),
        )

    for kind in ("local", "variable", "trace", "profile", "hooks", "origin"):
        call(leave, kind, flags=flags)
        assert call(found, flags=flags) == (0, 0, None, None, None, 0), kind


@SHARING
def test_context_variables_are_copied_in(flags: F) -> None:
    """A function sees the caller's context variables, and what it sets there is its own."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("the caller's")

    def fn() -> str:
        seen = variable.get()
        variable.set("the child's")
        return seen

    assert call(fn, flags=flags) == "the caller's"
    assert variable.get() == "the caller's"


def test_no_ghost_stays_among_the_threads(nothing_left: LeakCheck) -> None:
    """Who asks for threading.current_thread() is entered in a table, and taken out at its end."""
    before = threading.enumerate()

    def fn() -> bool:
        return threading.current_thread().is_alive()

    assert call(fn)
    assert threading.enumerate() == before

    def die() -> None:
        threading.current_thread()
        os.kill(os.getpid(), signal.SIGKILL)

    assert ramet.clone(die, flags=F.VM).wait(SECONDS).signal == signal.SIGKILL
    assert threading.enumerate() == before
    assert call(threading.current_thread, flags=F.VM | F.VFORK) is before[0]


@pytest.mark.parametrize("way", ["os.fork", "ramet.fork", "flags"])
def test_the_child_of_a_fork_starts_without_host_threads(way: str, nothing_left: LeakCheck) -> None:
    """Host threads are threads of the process that made them: a copy of it has none, and makes its own."""
    call(int)
    ramet.vfork(int).wait(SECONDS)
    ways: dict[str, Callable[[], int]] = {
        "os.fork": os.fork,
        "ramet.fork": ramet.fork,
        "flags": lambda: ramet.fork(F.FS),
    }
    pid = ways[way]()
    if pid == 0:
        code = 1
        try:
            for _ in range(3):
                assert call(os.getppid) == os.getpid()
                assert ramet.vfork(os.getppid).result(SECONDS) == os.getpid()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_fork_in_a_child_in_shared_memory(nothing_left: LeakCheck) -> None:
    """A copy made by a child in shared memory is as good a caller as any."""

    def fn() -> object:
        return ramet.clone(call, int, 5).result(SECONDS)

    assert call(fn) == 5


@pytest.mark.parametrize("outer", [F.VM, F.VM | F.VFORK], ids=str)
def test_host_threads_made_by_a_child_end_with_it(outer: F, nothing_left: LeakCheck) -> None:
    """A child that needs host threads itself leaves none that others would wait for in vain."""
    for _ in range(20):
        assert call(lambda: call(lambda: call(int, 7)), flags=outer) == 7
        assert call(int, 8) == 8


def test_an_error_of_the_kernel_costs_no_host(nothing_left: LeakCheck) -> None:
    """A clone call that is refused leaves nothing behind, and the next one works."""
    call(int)
    for _ in range(20):
        with pytest.raises(ramet.CloneError):
            ramet.clone(int, flags=F.VM, set_tid=[os.getpid()])
    assert call(int, 5) == 5


def anonymous_kilobytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def test_a_thousand_at_once(nothing_left: LeakCheck) -> None:
    """A thousand children alive take less than 64 MB."""
    count = repeated(
        1000
    )  # as many threads ask for the GIL at once: a slow machine does little else then
    end, ended = os.pipe()
    call(int)
    before = anonymous_kilobytes()
    children = [ramet.clone(os.read, end, 1, flags=F.VM | F.FILES) for _ in range(count)]
    taken = anonymous_kilobytes() - before
    os.close(ended)
    for child in children:
        assert child.result(SECONDS) == b""
    os.close(end)
    assert taken < count * 64
    nothing_left.start_again()  # libc keeps arenas, and some stacks


def test_a_signal_handler_may_call(nothing_left: LeakCheck) -> None:
    """A handler that comes in the midst of a call makes children of its own, and the call goes on."""
    results: list[int] = []

    def handler(number: int, frame: object) -> None:
        results.append(call(int, 5))
        results.append(call(int, 6, flags=F.VM | F.VFORK))
        signal.setitimer(
            signal.ITIMER_REAL, 0.001
        )  # only now: else it might come within itself for ever

    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        while len(results) < 100:
            assert call(int, 7) == 7
            assert call(int, 8, flags=F.VM | F.VFORK) == 8
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # first: the handler sets the timer again
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert set(results) == {5, 6}


def blocked(thread: str) -> set[int]:
    status = Path(f"/proc/self/task/{thread}/status").read_text()
    mask = int(status.partition("SigBlk:")[2].split()[0], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def test_host_threads_and_deadline_threads_take_no_signal(nothing_left: object) -> None:
    """A signal to the process is another thread's; libc's own two come, or setuid would hang."""
    before = threads()
    reading, writing = os.pipe()
    with ramet.clone(os.read, reading, 1, flags=F.VM, timeout=SECONDS) as child:
        ours = threads() - before
        assert len(ours) == 2, "one lends, and one keeps the deadline"
        os.setgid(os.getgid())  # by then they have begun
        deadline = time.monotonic() + SECONDS
        for thread in ours:
            assert signal.SIGUSR1 in blocked(thread)
            while not blocked(thread).isdisjoint({32, 33}):  # it may be in the handler still
                assert time.monotonic() < deadline
                os.sched_yield()
        os.write(writing, b"x")
        assert child.result(SECONDS) == b"x"
    os.close(reading)
    os.close(writing)
