"""Functions in shared memory where Python's allocators are not its usual ones."""

from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]

MODES: dict[str, dict[str, Any]] = {
    "dev": {"options": ("-X", "dev", "-W", "ignore::ResourceWarning")},
    "debug": {"env": {"PYTHONMALLOC": "debug"}},
    "malloc": {"env": {"PYTHONMALLOC": "malloc"}},
    "malloc_debug": {"env": {"PYTHONMALLOC": "malloc_debug"}},
    "tracemalloc": {"options": ("-X", "tracemalloc=5")},
}


def live_and_die(deaths: int) -> None:  # noqa: C901, PLR0915 - a program of its own
    """Every way in which a function in shared memory begins and ends."""
    import ctypes
    import os
    import signal
    import sys
    import time

    import ramet
    from ramet import CloneFlag as F

    seconds = 30.0
    begun: list[int] = []

    def nap() -> None:
        begun.append(1)
        time.sleep(1000)

    def allocate() -> None:
        begun.append(1)
        while True:
            [bytearray(number) for number in range(0, 3000, 7)]

    def end_hard(way: str) -> None:
        if way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif way == "exec":
            os.execv("/bin/true", ["true"])
        ctypes.string_at(0)

    def nest(end: str) -> list[int]:
        child = ramet.clone(nap, flags=F.VM)
        if end:
            end_hard(end)
        child.kill()
        child.wait(seconds)
        return ramet.clone(list, [1], flags=F.VM).result(seconds)

    def when_begun(child: ramet.Child[None]) -> ramet.Child[None]:
        while not begun:
            os.sched_yield()
        begun.clear()
        return child

    for _ in range(deaths):
        for fn in nap, allocate:
            child = when_begun(ramet.clone(fn, flags=F.VM))
            child.kill()
            assert child.wait(seconds).signal == signal.SIGKILL
            child = when_begun(ramet.clone(fn, flags=F.VM))
            child.send_signal(signal.SIGKILL)
            assert child.wait(seconds).signal == signal.SIGKILL
            assert ramet.clone(fn, flags=F.VM, timeout=0.05).wait(seconds).signal == signal.SIGKILL
            begun.clear()
        for way in "kill", "exec", "fault":
            ramet.clone(end_hard, way, flags=F.VM).wait(seconds)
            ramet.vfork(end_hard, way).wait(seconds)
        for way in "", "kill", "exec":
            ramet.clone(nest, way, flags=F.VM).wait(seconds)
            ramet.vfork(nest, way).wait(seconds)
        begun.clear()
        child = when_begun(ramet.clone(allocate, flags=F.VM))
        assert child.interrupt()
        assert child.wait(seconds).code == 143
    for flags in F.VM, F.VM | F.SIGHAND | F.THREAD, F.VM | F.FILES:
        assert ramet.clone(list, [1], flags=flags).result(seconds) == [1]
    assert ramet.clone(list, [1], flags=F.VM, stack_size=1 << 24).result(seconds) == [1]
    if sys.version_info >= (3, 12, 4):
        assert ramet.clone(sum, [1, 2], flags=F.VM, interpreter="own").result(seconds) == 3
        killed = ramet.clone(time.sleep, 1000, flags=F.VM, interpreter="own", timeout=0.05)
        assert killed.wait(seconds).signal == signal.SIGKILL
    assert ramet.clone(list, [1]).result(seconds) == [1]
    callback = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)
    assert ctypes.PYFUNCTYPE(ctypes.c_int)(ctypes.cast(callback, ctypes.c_void_p).value or 0)() == 7


@pytest.mark.parametrize("mode", MODES)
def test_children_start_and_end(in_new_python: Start, mode: str) -> None:
    """With debug hooks, without Python's own allocator, and traced: each begins, and each is recovered."""
    in_new_python(live_and_die, 3, **MODES[mode]).finish()


def trace_now_and_then(turns: int) -> None:
    import tracemalloc

    import ramet
    from ramet import CloneFlag as F

    for turn in range(turns):
        if turn % 2:
            tracemalloc.start(turn)
        children = [ramet.clone(list, [turn], flags=F.VM) for _ in range(turn)]
        assert [child.result() for child in children] == [[turn]] * turn
        tracemalloc.stop()


def test_tracing_begins_at_any_moment(in_new_python: Start) -> None:
    """More host threads are made each time, with tracing on and off."""
    in_new_python(trace_now_and_then, 12).finish()
