"""The layout of a function's outcome in memory that child and parent share.

A header, the length of each part, and the parts: first the head, then the buffers. The child may be a
subinterpreter, where ramet cannot be imported: so this imports the standard library only.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import CoroutineType, GeneratorType, TracebackType
from typing import Any

# The number of buffers, the length of the head, and the kind, which is written last.
_HEADER = struct.Struct("=QQQ")
_LENGTH = struct.Struct("=Q")  # of each buffer
_ALIGNMENT = 64
_TABLE_AT = _ALIGNMENT

# The kinds, each with its head; its buffers:
#   VALUE       why it was not sent as data, in UTF-8, or nothing; the pickle, and the pickle's buffers
#   RAISED      type, message and traceback in JSON; the pickle, or none
#   LOST        why there is no outcome, in UTF-8
#   UNPREPARED  the step that failed before the function, and its errno
#   PLAIN       written and read by the core
#   DATA        written by data_codec.py
#   TRACED      type, message, notes, frames of traceback_parts.py; the pickle. Of templates' calls alone
# The core has the same numbers: native/python/mapping.c, core.h and channel.h there.
NOTHING, VALUE, RAISED, LOST, UNPREPARED, PLAIN, DATA, TRACED = range(8)

STEP = struct.Struct("=II")

_OURS = "ramet."  # with which the names of its modules begin
MOST_LETTERS = 1 << 18  # of each text of an exception: more tells nobody more
_MOST_BUFFERS = 1 << 20  # what stands for each takes some hundred bytes


class MalformedError(ValueError):
    """The memory does not have this layout."""


def call_and_put(memory: Any, fn: Callable[[], object]) -> int:
    """In the child: call fn and write the outcome to ``memory``. Returns the exit code.

    memory: writable, of single bytes, zero at first.
    """
    try:
        value = fn()
    except SystemExit:
        raise
    except BaseException as error:
        return put_error(memory, error)
    return put_value(memory, value)


def put_value(memory: Any, value: object, why_pickled: str = "") -> int:
    """In the child: write the pickle of what fn returned. Returns the exit code."""
    try:
        head = why_pickled.encode(errors="backslashreplace")
        write(memory, VALUE, head, _pickled(value))
    except BaseException as error:
        return put_lost(memory, why_not_sent(value, error))
    return 0


def why_not_sent(value: object, error: BaseException) -> str:
    """In the child: what to say of a result that cannot be pickled."""
    hint = ""
    if isinstance(value, CoroutineType):
        value.close()  # it will never be awaited
        hint = "; to run a coroutine function, call asyncio.run() in fn"
    elif isinstance(value, GeneratorType):
        hint = "; a generator runs where it was made: return a list of what it gives"
    return f"the result cannot be sent to the caller: {in_words(error)}{hint}"


def put_error(memory: Any, error: BaseException, *, by_pickle: bool = True) -> int:
    """In the child: write what fn raised. Returns the exit code."""
    text, head = described(error)
    pickled: Sequence[Any] = ()
    if by_pickle:
        with suppress(BaseException):  # the texts are sent without it, too
            pickled = _pickled(error.with_traceback(None))
    try:
        write(memory, RAISED, head, pickled)
    except BaseException:
        return put_lost(memory, f"the exception cannot be sent to the caller:\n{text}")
    return 1


def described(error: BaseException) -> tuple[str, bytes]:
    """In the child: the traceback, and the head that tells type, message and traceback."""
    import json

    texts = texts_about(error)
    return texts[-1], json.dumps(texts).encode()


def texts_about(error: BaseException) -> list[str]:
    """In the child: type, message and traceback, of MOST_LETTERS each."""
    return list(map(shortened, (*name_and_message(error), _with_traceback(error))))


def name_and_message(error: BaseException) -> tuple[str, str]:
    """In the child: the name of its type, with the module's, and its message."""
    return _name_of(type(error)), _message_of(error)


def shortened(text: str, most: int = MOST_LETTERS) -> str:
    """With what is too long left out in its middle."""
    left_out = len(text) - most
    if left_out <= 0:
        return text
    half = most // 2
    return f"{text[:half]}\n[{left_out} letters are left out]\n{text[-half:]}"


def why_exception_not_read(error: BaseException) -> str:
    """In the caller. Pickle calls its class with its args, which an __init__ may not take."""
    how = (
        "; its class needs a __reduce__() that says how it is made"
        if isinstance(error, TypeError)
        else ""
    )
    return f"the exception itself cannot be read: {in_words(error)}{how}"


def put_lost(memory: Any, why: str) -> int:
    """In the child: write why there is no outcome. Returns the exit code."""
    write(memory, LOST, why.encode(errors="backslashreplace")[: len(memory) - _TABLE_AT])
    return 1


def put_failure(memory: Any, step: int, error: int) -> int:
    """In the child: write which step failed before fn, and its errno. Returns the exit code."""
    write(memory, UNPREPARED, STEP.pack(step, error))
    return 1


def read(view: memoryview, has_written: Callable[[int], bool]) -> tuple[int, list[memoryview]]:
    """In the parent: the kind, and views of the head and the buffers.

    has_written: whether so many bytes from the beginning were written. The memory may hold anything, and
    may be written to meanwhile: each number is read once, and compared with the length of the view.
    Raises MalformedError.
    """
    count, head, kind = _HEADER.unpack_from(view)
    place = _TABLE_AT + count * _LENGTH.size
    if count > _MOST_BUFFERS or place > len(view) or not has_written(place):
        raise MalformedError(f"invalid number of buffers: {count}")
    table = bytes(view[_TABLE_AT:place])
    lengths = (head, *(length for (length,) in _LENGTH.iter_unpack(table)))
    places = list(_laid_out(place, lengths))
    end = places[-1] + lengths[-1]
    if end > len(view) or not has_written(end):
        raise MalformedError(f"invalid lengths: {end} bytes were not written")
    return kind, [view[at : at + n] for at, n in zip(places, lengths, strict=True)]


def write(memory: Any, kind: int, head: bytes, buffers: "Sequence[Any]" = ()) -> None:
    """In the child: write head and buffers. Raises MemoryError if the memory is too small."""
    start = _TABLE_AT + len(buffers) * _LENGTH.size
    parts = (head, *buffers)
    places = list(_laid_out(start, map(len, parts)))
    end = places[-1] + len(parts[-1])
    if end > len(memory):
        raise MemoryError(f"the result has {end} bytes, at most {len(memory)} can be sent")
    for number, buffer in enumerate(buffers):
        _LENGTH.pack_into(memory, _TABLE_AT + number * _LENGTH.size, len(buffer))
    for at, part in zip(places, parts, strict=True):
        memory[at : at + len(part)] = part
    # Last, so that a child that is killed before has written no outcome.
    _HEADER.pack_into(memory, 0, len(buffers), len(head), kind)


def in_words(error: BaseException) -> str:
    """What Python prints for it, without the traceback."""
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
    return "its message cannot be printed"


def _with_traceback(error: BaseException) -> str:
    import traceback

    frames_of_function = without_callers(error.__traceback__)
    with suppress(Exception):
        return "".join(traceback.format_exception(type(error), error, frames_of_function))
    try:
        # traceback imports some modules only here, and the child may not open files any more.
        frames = traceback.StackSummary.extract(
            traceback.walk_tb(frames_of_function), lookup_lines=False
        )
        places = [f'  File "{at.filename}", line {at.lineno}, in {at.name}\n' for at in frames]
        return "".join([*places, f"{type(error).__name__}: {error}\n"])
    except Exception:  # of a class whose __name__ or __str__ fails
        return f"{type(error).__qualname__}, which cannot be printed"


def without_callers(frames: TracebackType | None) -> TracebackType | None:
    """In the child: without ours, that have called the function; all of them where there are no others."""
    at = frames
    while at is not None and str(at.tb_frame.f_globals.get("__name__")).startswith(_OURS):
        at = at.tb_next
    return at or frames


def _pickled(outcome: object) -> list[Any]:
    """The pickle, and its buffers outside of it."""
    import pickle

    buffers: list[pickle.PickleBuffer] = []
    try:
        data = _dumps(outcome, buffers.append)
    except pickle.PicklingError:
        buffers.clear()
        data = _pickled_by_search(outcome, buffers.append)
    return [data, *(buffer.raw() for buffer in buffers)]


def _dumps(outcome: object, keep: Callable[[Any], object]) -> bytes:
    import pickle
    import sys

    # An interpreter with a GIL of its own, in which this runs without its module, cannot have loaded it.
    if "torch" in sys.modules:
        from .tensors import dumps

        return dumps(outcome, keep)
    return pickle.dumps(outcome, protocol=5, buffer_callback=keep)


def _pickled_by_search(outcome: object, keep: Callable[[Any], object]) -> bytes:
    """The same for classes with a wrong ``__module__``, such as pytest.skip.Exception."""
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
    """The "module:name" of a class that is not in its ``__module__``; None when it is, or is nowhere."""
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
        except TypeError:  # None, and objects in the place of modules
            return False
    return found is kind
