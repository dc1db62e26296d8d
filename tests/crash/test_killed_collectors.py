from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]


def die_in_a_finalizer(end: str) -> None:
    import gc
    import os
    import signal
    import threading
    import weakref

    import ramet
    from ramet import CloneFlag as F

    reading, _ = os.pipe()
    begun: list[int] = []
    saved: list[object] = []
    ends: dict[str, Callable[[], object]] = {
        "killed": lambda: os.read(reading, 1),
        "itself": lambda: os.kill(os.getpid(), signal.SIGKILL),
    }
    ends["thread"] = ends["killed"]

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

    class Ring:
        next: "Ring"

        def __del__(self) -> None:
            saved.append(self)
            if len(saved) == 5:
                begun.append(1)
                ends[end]()

    def collect() -> None:
        rings = [Ring() for _ in range(10)]
        for one, other in zip(rings, rings[1:] + rings[:1], strict=True):
            one.next = other
        rings.clear()
        del one, other
        gc.collect()

    def in_a_thread() -> None:
        thread = threading.Thread(target=collect)
        thread.start()
        thread.join()

    gc.collect()
    child = ramet.clone(in_a_thread if end == "thread" else collect, flags=F.VM)
    while not begun:
        os.sched_yield()
    if end != "itself":
        child.kill()
    child.wait()
    assert child.losses is not None
    assert child.losses.locks == ()
    if end != "thread":
        assert child.losses.released == ("the garbage collector",)
    # What it was looking at can be used, and ends, as all else: no stack of the dead has a part in it.
    assert all(type(each) is Ring for each in saved)
    saved.clear()
    gc.collect()
    garbage = weakref.ref(Garbage())
    assert gc.collect() >= 1
    assert garbage() is None
    ramet.clone(gc.collect, flags=F.VM).result()


@pytest.mark.parametrize("end", ["killed", "itself", "thread"])
def test_who_dies_in_a_finalizer_leaves_the_collector_to_others(
    in_new_python: Start, end: str
) -> None:
    """What a child that dies in a finalizer was collecting is in order, and can be used and collected."""
    in_new_python(die_in_a_finalizer, end).finish()


def die_in_a_callback(where: str, end: str) -> None:
    import gc
    import os
    import signal
    import weakref

    import ramet
    from ramet import CloneFlag as F

    caller = os.getpid()
    reading, _ = os.pipe()
    begun: list[int] = []

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

    def die() -> None:
        begun.append(1)
        if end == "itself":
            os.kill(os.getpid(), signal.SIGKILL)
        os.read(reading, 1)

    def callback(phase: str, _: object) -> None:
        if phase == where and os.getpid() != caller:
            die()

    def collect() -> None:
        kept = weakref.ref(Garbage(), (lambda _: die()) if where == "weakref" else None)
        gc.collect()
        del kept

    gc.callbacks.append(callback)
    gc.collect()
    child = ramet.clone(collect, flags=F.VM)
    while not begun:
        os.sched_yield()
    if end != "itself":
        child.kill()
    child.wait()
    gc.callbacks.remove(callback)
    assert child.losses is not None
    assert child.losses.locks == ()
    assert child.losses.released == ("the garbage collector",)
    for _ in range(3):
        garbage = weakref.ref(Garbage())
        assert gc.collect() >= 1
        assert garbage() is None


@pytest.mark.parametrize("end", ["killed", "itself"])
@pytest.mark.parametrize("where", ["weakref", "start", "stop"])
def test_who_dies_in_a_callback_leaves_the_collector_to_others(
    in_new_python: Start, where: str, end: str
) -> None:
    """The garbage collector goes on after a death in code that it had called."""
    in_new_python(die_in_a_callback, where, end).finish()


def die_with_a_part_in_hands() -> None:
    import ctypes
    import gc
    import os
    import signal

    import ramet
    from ramet import CloneFlag as F

    looked_at = 2  # _PyGC_PREV_MASK_COLLECTING, in the word before each object
    held: list[object] = [[]]
    mark = ctypes.c_size_t.from_address(id(held) - ctypes.sizeof(ctypes.c_size_t))

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            mark.value |= looked_at  # as it is while the collector counts what leads to it
            os.kill(os.getpid(), signal.SIGKILL)

    def collect() -> None:
        Garbage()
        gc.collect()

    child = ramet.clone(collect, flags=F.VM)
    child.wait()
    assert child.losses is not None
    assert child.losses.released == ()
    assert child.losses.locks == ("the garbage collector",)
    assert gc.collect() == 0
    mark.value &= ~looked_at


def test_a_collector_that_cannot_go_on_is_told_of(in_new_python: Start) -> None:
    """Where the dead had a part of its lists in hands nobody begins again, for that would crash."""
    in_new_python(die_with_a_part_in_hands).finish()


def die_beside_a_collection() -> None:
    import gc
    import os
    import threading

    import ramet
    from ramet import CloneFlag as F

    reading, writing = os.pipe()
    begun: list[str] = []

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            begun.append("caller")
            os.read(reading, 1)

    def collect() -> None:
        Garbage()
        gc.collect()

    def wait() -> None:
        begun.append("child")
        os.read(reading, 1)

    thread = threading.Thread(target=collect)
    gc.collect()
    child = ramet.clone(wait, flags=F.VM)
    thread.start()
    while len(begun) < 2:
        os.sched_yield()
    child.kill()
    child.wait()
    assert child.losses is not None
    assert child.losses.locks == child.losses.released == ()
    assert gc.collect() == 0  # nobody begins while the other is at it
    os.write(writing, b"x")
    thread.join(30)


def test_the_collection_of_another_is_left_to_it(in_new_python: Start) -> None:
    """A child that dies beside a thread that collects garbage takes nothing from it."""
    in_new_python(die_beside_a_collection).finish()
