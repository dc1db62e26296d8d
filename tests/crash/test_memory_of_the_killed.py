"""What a function in shared memory held is freed when it is killed, but for what has a finalizer."""

import os
from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]

LONG = os.environ.get("RAMET_LONG") == "1"
KILLS = 50_000 if LONG else 400


def hold_plain_data(kills: int, most_bytes: int) -> None:
    import gc
    import os
    import signal
    from pathlib import Path

    import ramet
    from ramet import CloneFlag as F

    def work(begun: list[int], given: list[bytes]) -> None:
        data = [bytes(1000) for _ in range(400)]
        words = {str(number): {str(number) * 50, len(given)} for number in range(1000)}
        circle: list[object] = [bytearray(200_000)]
        circle.append((circle, words))

        def recursive(left: int) -> int:
            return recursive(left - 1) if left else len(data)

        def pause() -> None:
            recursive(3)
            begun.append(1)
            signal.pause()

        pause()

    def kill() -> ramet.Losses | None:
        begun: list[int] = []
        child = ramet.clone(work, begun, [bytes(1000) for _ in range(200)], flags=F.VM)
        while not begun:
            os.sched_yield()
        child.kill()
        child.wait(30)
        return child.losses

    def resident() -> int:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    for _ in range(20):
        kill()
    before = resident()
    for _ in range(kills):
        losses = kill()
        assert losses is not None
        assert losses.frames == 2
        # begun, given; and data, words, circle, recursive, pause, which are in cells where others use them.
        assert losses.references == losses.given_up > 7
        assert losses.kept == 0
    left = resident() - before
    assert left < most_bytes, f"{kills} kills left {left} bytes"


@pytest.mark.timeout(1800 if LONG else 120)
def test_plain_data_is_freed(apart: Start) -> None:
    """Functions that hold 1 MB of plain data each can be killed without end."""
    apart(hold_plain_data, KILLS, 50_000_000 if LONG else 20_000_000).finish()


def hold(kind: str) -> None:  # noqa: C901, PLR0915 - a program of its own
    import contextlib
    import gc
    import os
    import signal
    import socket
    import sys
    import tempfile
    import threading
    import weakref
    from collections.abc import Iterator

    import ramet
    from ramet import CloneFlag as F

    ended: list[int] = []
    begun: list[int] = []
    seen: list[object] = []
    shared = ["of", "the", "caller"]

    class Finalized:
        def __init__(self) -> None:
            self.more = ["plain"]
            self.me = self

        def __del__(self) -> None:
            ended.append(os.getpid())

    class Member(list[object]):
        pass

    def pause() -> None:
        begun.append(1)
        signal.pause()

    def finalizer() -> None:
        _direct, _inside = Finalized(), [{"it": (Finalized(),)}]
        pause()

    def finalizer_in_a_circle() -> None:
        it = Finalized()
        circle: list[object] = [it, "plain"]
        it.more = circle  # type: ignore[assignment]
        circle.append(circle)
        del it
        pause()

    def weak() -> None:
        value = {"plain"}
        seen.append(weakref.ref(value, lambda _: ended.append(os.getpid())))
        pause()

    def subclass() -> None:
        value = Member(["plain"])
        seen.append(weakref.ref(value, lambda _: ended.append(os.getpid())))
        pause()

    def files() -> None:
        _file, _sockets = tempfile.TemporaryFile(), [socket.socketpair()]  # noqa: SIM115 - it is to be lost
        pause()

    def suspended_generator() -> None:
        def generate() -> Iterator[int]:
            try:
                yield 1
            finally:
                ended.append(os.getpid())

        generator = generate()
        next(generator)
        pause()

    def running_generator() -> None:
        def generate() -> Iterator[int]:
            _values = ["plain"] * 10
            pause()
            yield 1

        for _ in generate():
            pass

    def in_a_context() -> None:
        with contextlib.closing(Finalized()):  # type: ignore[type-var]
            pause()

    def sharing() -> None:
        _also = [shared, (shared, {"shared": shared})]
        pause()

    def frame_of_it() -> None:
        _value = ["plain"]
        seen.append(sys._getframe())
        pause()

    def handling() -> None:
        values = ["plain"]

        def fail() -> None:
            raise ValueError(values)

        try:
            fail()
        except ValueError as error:
            _error = [error]
            pause()

    def deep(left: int = 500) -> None:
        _values = [str(left)] * 10
        if left:
            deep(left - 1)
        else:
            pause()

    def sorting() -> None:
        values = [str(number) for number in range(100)]

        def key(value: str) -> str:
            if value == "50":
                pause()
            return value

        values.sort(key=key)

    def threads() -> None:
        values = ["plain"]

        def use() -> None:
            pause()
            values.clear()

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()

    ways: dict[str, Callable[[], None]] = {
        each.__name__: each
        for each in (
            *(finalizer, finalizer_in_a_circle, weak, subclass, files, suspended_generator),
            *(running_generator, in_a_context, sharing, frame_of_it, handling, deep, sorting),
            threads,
        )
    }
    descriptors = set(os.listdir("/proc/self/fd"))
    for _ in range(5):
        begun.clear()
        child = ramet.clone(ways[kind], flags=F.VM)
        while not begun:
            os.sched_yield()
        child.kill()
        child.wait(30)
        losses = child.losses
        assert losses is not None
        print(losses.references, losses.given_up, losses.kept)
        for _ in range(3):
            gc.collect()
        assert shared == ["of", "the", "caller"]
        assert ended == []
        for reference in seen:
            assert not isinstance(reference, weakref.ref) or reference() is not None
    assert set(os.listdir("/proc/self/fd")) == descriptors
    if kind == "sharing":
        assert sys.getrefcount(shared) < 10
    if kind == "frame_of_it":
        for frame in seen:
            assert frame.f_locals["_value"] == ["plain"]  # type: ignore[attr-defined]


# What is kept of each.
KINDS = {
    "finalizer": 2,
    "finalizer_in_a_circle": 1,
    "weak": 1,
    "subclass": 1,
    "files": 3,
    "suspended_generator": 1,
    "sharing": 0,
    "deep": 0,
}


@pytest.mark.parametrize(
    "kind",
    [
        *KINDS,
        *("running_generator", "in_a_context", "frame_of_it", "handling", "sorting", "threads"),
    ],
)
def test_what_is_not_plain_is_kept(apart: Start, kind: str) -> None:
    """Nothing is finalized in the caller that the dead held; all else goes, and the caller goes on."""
    printed = apart(hold, kind).finish()
    for line in printed.splitlines():
        references, given_up, kept = map(int, line.split())
        if kind in KINDS:
            assert (given_up, kept) == (references, KINDS[kind])
