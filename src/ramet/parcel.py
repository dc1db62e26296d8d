"""What came of a function, laid out in memory that both sides see.

Used in the child, in whatever interpreter it has: so this knows nothing but the standard library.
"""

import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pickle import PickleBuffer

# How long the pickle is, how many buffers follow it, and what it all is: that is written last.
_HEADER = struct.Struct("=QQQ")
_LENGTH = struct.Struct("=Q")  # before each buffer
_ALIGNMENT = 64
_PICKLE_AT = _ALIGNMENT

# PLAIN is a value that the core has marshalled.
NOTHING, VALUE, RAISED, LOST, UNPREPARED, PLAIN = range(6)


def deliver(room: Any, fn: Callable[..., object], args: tuple[Any, ...] = ()) -> int:
    """In the child: call fn and write down in ``room`` what came of it. Returns the exit code.

    room: writable memory of single bytes, zero at first.
    """
    try:
        value = fn(*args)
    except SystemExit:
        raise
    except BaseException as error:
        return put_error(room, error)
    return put_value(room, value)


def put_value(room: Any, value: object) -> int:
    """In the child: write down what fn returned. Returns the exit code."""
    try:
        _put(room, VALUE, value)
    except BaseException as error:
        _put_lost(room, f"the result cannot be brought over: {in_words(error)}")
        return 1
    return 0


def put_error(room: Any, error: BaseException) -> int:
    """In the child: write down what fn raised. Returns the exit code."""
    text = _with_traceback(error)
    try:
        _put(room, RAISED, (error.with_traceback(None), text))
    except BaseException:
        _put_lost(room, f"it raised what cannot be brought over:\n{text}")
    return 1


def deliver_failure(room: Any, step: int, error: int) -> int:
    """In the child: write down which step failed before fn, and its errno. Returns the exit code."""
    _put(room, UNPREPARED, (step, error))
    return 1


def read(view: memoryview) -> tuple[int, list[memoryview]]:
    """In the parent: what it is, and the pickle and its buffers where they lie."""
    length, count, kind = _HEADER.unpack_from(view)
    place = _PICKLE_AT + length
    parts = [view[_PICKLE_AT:place]]
    for _ in range(count):
        place = _aligned(place)
        (length,) = _LENGTH.unpack_from(view, place)
        place += _ALIGNMENT
        parts.append(view[place : place + length])
        place += length
    return kind, parts


def in_words(error: BaseException) -> str:
    """What Python prints for it, without where it was raised."""
    import traceback

    return "".join(traceback.format_exception_only(error)).strip()


def _with_traceback(error: BaseException) -> str:
    import traceback

    with suppress(Exception):
        return "".join(traceback.format_exception(error))
    try:
        # It imports some modules no sooner than here, in a child that may open no file any more.
        frames = traceback.StackSummary.extract(
            traceback.walk_tb(error.__traceback__), lookup_lines=False
        )
        places = [f'  File "{at.filename}", line {at.lineno}, in {at.name}\n' for at in frames]
        return "".join([*places, f"{type(error).__name__}: {error}\n"])
    except Exception:  # of a class that was made in some strange way
        return f"{type(error).__qualname__}, which cannot be printed"


def _put_lost(room: Any, why: str) -> None:
    _write(room, LOST, why.encode(errors="backslashreplace")[: len(room) - _PICKLE_AT])


def _put(room: Any, kind: int, outcome: object) -> None:
    import pickle

    buffers: list[PickleBuffer] = []
    data = pickle.dumps(outcome, protocol=5, buffer_callback=buffers.append)
    _write(room, kind, data, [buffer.raw() for buffer in buffers] if buffers else ())


def _write(room: Any, kind: int, data: bytes, buffers: "Sequence[memoryview]" = ()) -> None:
    place = _PICKLE_AT + len(data)
    end = place
    for buffer in buffers:
        end = _aligned(end) + _ALIGNMENT + len(buffer)
    if end > len(room):
        raise MemoryError(f"{end} bytes are more than the {len(room)} there is room for")
    room[_PICKLE_AT:place] = data
    for buffer in buffers:
        place = _aligned(place)
        _LENGTH.pack_into(room, place, len(buffer))
        place += _ALIGNMENT
        room[place : place + len(buffer)] = buffer
        place += len(buffer)
    # Last, so that a child killed in the midst of it has left nothing.
    _HEADER.pack_into(room, 0, len(data), len(buffers), kind)


def _aligned(place: int) -> int:
    return -(-place // _ALIGNMENT) * _ALIGNMENT
