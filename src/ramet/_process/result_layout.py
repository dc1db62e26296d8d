"""What came of a function, laid out in memory that both sides see.

A header, the length of each part, and the parts: first the head, then buffers. Used in the child, in
whatever interpreter it has: so this knows nothing but the standard library.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import CoroutineType
from typing import Any

# How many buffers there are, how long the head is, and what it all is: that is written last.
_HEADER = struct.Struct("=QQQ")
_LENGTH = struct.Struct("=Q")  # of each buffer
_ALIGNMENT = 64
_TABLE_AT = _ALIGNMENT

# What it is, and what its head and its buffers are:
#   VALUE       why it is not sent as data, in UTF-8 or empty; its pickle, and the pickle's buffers
#   RAISED      its type, its message and its traceback, in JSON; its pickle, or nothing
#   LOST        why there is no outcome, in UTF-8
#   UNPREPARED  the step that failed before the function, and its errno
#   PLAIN       what the core has written, and reads, itself; mapping.c has the same number
#   DATA        what data_codec.py has written
NOTHING, VALUE, RAISED, LOST, UNPREPARED, PLAIN, DATA = range(7)

STEP = struct.Struct("=II")


class MalformedError(ValueError):
    """What lies there is laid out as no child does it."""


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


def put_value(room: Any, value: object, why_pickled: str = "") -> int:
    """In the child: write down the pickle of what fn returned. Returns the exit code."""
    try:
        head = why_pickled.encode(errors="backslashreplace")
        write(room, VALUE, head, _pickled(value))
    except BaseException as error:
        hint = ""
        if isinstance(value, CoroutineType):
            value.close()  # it will never be awaited
            hint = "; a coroutine function is run by asyncio.run, in fn"
        return put_lost(room, f"the result cannot be brought over: {in_words(error)}{hint}")
    return 0


def put_error(room: Any, error: BaseException, *, by_pickle: bool = True) -> int:
    """In the child: write down what fn raised. Returns the exit code."""
    import json

    text = _with_traceback(error)
    described = json.dumps([_name_of(type(error)), _message_of(error), text])
    pickled: Sequence[Any] = ()
    if by_pickle:
        with suppress(BaseException):  # it is told of all the same
            pickled = _pickled(error.with_traceback(None))
    try:
        write(room, RAISED, described.encode(), pickled)
    except BaseException:
        return put_lost(room, f"it raised what cannot be brought over:\n{text}")
    return 1


def put_lost(room: Any, why: str) -> int:
    """In the child: write down that there is no outcome. Returns the exit code."""
    write(room, LOST, why.encode(errors="backslashreplace")[: len(room) - _TABLE_AT])
    return 1


def put_failure(room: Any, step: int, error: int) -> int:
    """In the child: write down which step failed before fn, and its errno. Returns the exit code."""
    write(room, UNPREPARED, STEP.pack(step, error))
    return 1


def read(view: memoryview, has_written: Callable[[int], bool]) -> tuple[int, list[memoryview]]:
    """In the parent: what it is, and its head and its buffers where they lie.

    has_written: whether as many bytes, from the beginning, were written. What lies there may be
    anything, and may be written to meanwhile: each number is read once, and held against the view.
    Raises MalformedError.
    """
    count, head, kind = _HEADER.unpack_from(view)
    place = _TABLE_AT + count * _LENGTH.size
    if place > len(view) or not has_written(place):
        raise MalformedError(f"it names {count} buffers, for which there is no room")
    table = bytes(view[_TABLE_AT:place])
    lengths = (head, *(length for (length,) in _LENGTH.iter_unpack(table)))
    places = list(_laid_out(place, lengths))
    end = places[-1] + lengths[-1]
    if end > len(view) or not has_written(end):
        raise MalformedError(f"it names {end} bytes, which were not written")
    return kind, [view[at : at + n] for at, n in zip(places, lengths, strict=True)]


def write(room: Any, kind: int, head: bytes, buffers: "Sequence[Any]" = ()) -> None:
    """In the child: write it all down. Raises MemoryError if there is no room for it."""
    start = _TABLE_AT + len(buffers) * _LENGTH.size
    parts = (head, *buffers)
    places = list(_laid_out(start, map(len, parts)))
    end = places[-1] + len(parts[-1])
    if end > len(room):
        raise MemoryError(f"{end} bytes are more than the {len(room)} there is room for")
    for number, buffer in enumerate(buffers):
        _LENGTH.pack_into(room, _TABLE_AT + number * _LENGTH.size, len(buffer))
    for at, part in zip(places, parts, strict=True):
        room[at : at + len(part)] = part
    # Last, so that a child killed in the midst of it has left nothing.
    _HEADER.pack_into(room, 0, len(buffers), len(head), kind)


def in_words(error: BaseException) -> str:
    """What Python prints for it, without where it was raised."""
    import traceback

    return "".join(traceback.format_exception_only(error)).strip()


def _laid_out(start: int, lengths: "Sequence[int] | map[int]") -> Iterator[int]:
    """Where each part begins; the head follows the table, and buffers are aligned."""
    place = start
    for length in lengths:
        yield place
        place = _aligned(place + length)


def _aligned(place: int) -> int:
    return -(-place // _ALIGNMENT) * _ALIGNMENT


def _name_of(kind: type) -> str:
    home = getattr(kind, "__module__", None)  # which a class may lack
    return kind.__qualname__ if home in {None, "builtins"} else f"{home}.{kind.__qualname__}"


def _message_of(error: BaseException) -> str:
    with suppress(Exception):
        return str(error)
    return "what it says cannot be printed"


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


def _pickled(outcome: object) -> list[Any]:
    """The pickle of it, and the buffers that lie beside."""
    import pickle

    buffers: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(outcome, protocol=5, buffer_callback=buffers.append)
    except pickle.PicklingError:
        buffers.clear()
        data = _pickled_by_search(outcome, buffers.append)
    return [data, *(buffer.raw() for buffer in buffers)]


def _pickled_by_search(outcome: object, keep: Callable[[Any], object]) -> bytes:
    """The same for classes that say that they live where they do not, as pytest.skip.Exception does."""
    import io
    import pickle

    class Pickler(pickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            place = _found_elsewhere(obj) if isinstance(obj, type) else None
            if place is None:
                return NotImplemented
            from pkgutil import resolve_name

            return resolve_name, (place,)

    stream = io.BytesIO()
    Pickler(stream, protocol=5, buffer_callback=keep).dump(outcome)
    return stream.getvalue()


def _found_elsewhere(kind: type) -> str | None:
    """Where a class is that is not at home: "module:name"; None for one that is, or is nowhere."""
    import sys

    if _is_at(kind, sys.modules.get(getattr(kind, "__module__", ""))):
        return None
    for name, module in sys.modules.copy().items():
        if _is_at(kind, module):
            return f"{name}:{kind.__qualname__}"
    return None


def _is_at(kind: type, module: Any) -> bool:
    found = module
    for name in kind.__qualname__.split("."):
        try:
            found = vars(found).get(name)
        except TypeError:  # None, and what stands in for a module
            return False
    return found is kind
