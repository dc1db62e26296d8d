"""How the outcome of a function crosses from one memory to another.

The child writes it into a mapping that both share, and ends; the parent reads it there. The mapping
is as large as the machine's memory and takes only the pages that are written, so nothing needs to
be said beforehand about the size of a result, and no descriptor is open that the function could
close. Large buffers (numpy arrays, bytearrays in pickle's protocol 5) are written once by the child
and used where they lie by the parent.
"""

import mmap
import os
import pickle
import struct
import traceback
from collections.abc import Callable
from typing import Any

from .errors import ResultError

_HEADER = struct.Struct("=QQ")  # what it is, how many parts
_LENGTH = struct.Struct("=Q")
_ALIGNMENT = 64
_LEAST_BYTES = 1 << 16
_NORESERVE = 0x4000  # MAP_NORESERVE of every architecture with a native/arch folder

_NOBODY = 0  # no process has this pid

NOTHING, VALUE, RAISED, LOST = range(4)


class RemoteTraceback(Exception):  # noqa: N818 - it is no error, it shows one
    """Where in the child an exception was raised: the cause of what ``result()`` raises."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


class Transfer:
    """A mapping for one outcome: made before the birth, written by the child, read after."""

    def __init__(self) -> None:
        self._map = _largest_mapping()
        self._maker = os.getpid()

    def keep_from_others(self) -> None:
        """In the parent: children that are born later need no part in this."""
        self._map.madvise(mmap.MADV_DONTFORK)

    def run(self, fn: Callable[[], object]) -> int:
        """In the child: call fn and write down what came of it. Returns the exit code."""
        try:
            value = fn()
        except SystemExit:
            raise
        except BaseException as error:
            self._put_error(error)
            return 1
        try:
            self._put(VALUE, value)
        except BaseException as error:
            self._put_lost(f"the result cannot be brought over: {_in_words(error)}")
            return 1
        return 0

    def take(self) -> tuple[int, Any]:
        """In the parent: (VALUE, the value), (RAISED, the exception) or (NOTHING, None)."""
        if self._maker != os.getpid():  # another process has no part in it
            return NOTHING, None
        view = memoryview(self._map)
        kind, parts = _read(view)
        if kind == NOTHING:
            return NOTHING, None
        if len(parts) > 1:  # the result goes on lying here, and later children may know it
            self._map.madvise(mmap.MADV_DOFORK)
        if kind == LOST:
            return RAISED, ResultError(bytes(parts[0]).decode(errors="replace"))
        try:
            outcome = pickle.loads(parts[0], buffers=parts[1:])
        except Exception as error:
            what = "result" if kind == VALUE else "exception"
            return RAISED, ResultError(f"the {what} cannot be read: {_in_words(error)}")
        if kind == RAISED:
            raised, text = outcome
            raised.__cause__ = RemoteTraceback(text)
            return RAISED, raised
        return VALUE, outcome

    def close(self) -> None:
        """Let go of the mapping; it stays as long as a result lies in it."""
        self._map = None  # type: ignore[assignment]
        self._maker = _NOBODY

    def _put_error(self, error: BaseException) -> None:
        text = "".join(traceback.format_exception(error))
        try:
            self._put(RAISED, (error.with_traceback(None), text))
        except BaseException:
            self._put_lost(f"it raised what cannot be brought over:\n{text}")

    def _put_lost(self, why: str) -> None:
        room = len(self._map) - _HEADER.size - _LENGTH.size - _ALIGNMENT
        self._write(LOST, [why.encode(errors="backslashreplace")[:room]])

    def _put(self, kind: int, outcome: object) -> None:
        buffers: list[pickle.PickleBuffer] = []
        data = pickle.dumps(outcome, protocol=5, buffer_callback=buffers.append)
        self._write(kind, [data, *(buffer.raw() for buffer in buffers)])

    def _write(self, kind: int, parts: list[Any]) -> None:
        lengths = [memoryview(part).nbytes for part in parts]
        place = _HEADER.size + _LENGTH.size * len(parts)
        end = place + sum(length + _ALIGNMENT for length in lengths)
        if end > len(self._map):
            raise ResultError(f"{end} bytes are more than the {len(self._map)} there is room for")
        for index, (part, length) in enumerate(zip(parts, lengths, strict=True)):
            place = _aligned(place)
            self._map[place : place + length] = memoryview(part).cast("B")
            _LENGTH.pack_into(self._map, _HEADER.size + _LENGTH.size * index, length)
            place += length
        # Last, so that a child killed in the midst of it has left nothing.
        _HEADER.pack_into(self._map, 0, kind, len(parts))


def _in_words(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def _read(view: memoryview) -> tuple[int, list[memoryview]]:
    kind, count = _HEADER.unpack_from(view)
    place = _HEADER.size + _LENGTH.size * count
    parts = []
    for index in range(count):
        (length,) = _LENGTH.unpack_from(view, _HEADER.size + _LENGTH.size * index)
        place = _aligned(place)
        parts.append(view[place : place + length])
        place += length
    return kind, parts


def _aligned(place: int) -> int:
    return -(-place // _ALIGNMENT) * _ALIGNMENT


def _largest_mapping() -> mmap.mmap:
    """As much as the machine has; less where a limit (RLIMIT_AS, strict overcommit) says so."""
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return _mapping(size)
    except OSError:
        pass
    while size > _LEAST_BYTES:
        size = max(size // 4, _LEAST_BYTES) // mmap.PAGESIZE * mmap.PAGESIZE
        try:
            # As much again is left for the function, which has to make what it returns.
            _mapping(2 * size).close()
        except OSError:
            continue
        return _mapping(size)
    return _mapping(_LEAST_BYTES)


def _mapping(size: int) -> mmap.mmap:
    return mmap.mmap(-1, size, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _NORESERVE)
