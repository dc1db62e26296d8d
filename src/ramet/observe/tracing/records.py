"""What the core's tracer has seen, as it writes it: native/tracer/trace_records.h has the layout."""

import enum
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

_FIXED = Struct("=IHHiiqq8Q")
_LENGTH = Struct("=I")
_CUT = 1 << 31  # native/tracer/trace_records.h


class Kind(enum.IntEnum):
    """What a record tells."""

    SEEN = 1
    CALL = 2
    RETURNED = 3
    MADE = 4
    EXECED = 5
    ENDED = 6
    LEFT = 7
    OVER = 8


class Number(enum.IntEnum):
    """The calls of the family; native/tracer/family_calls.h has the same numbers."""

    CLONE = 1
    CLONE3 = 2
    FORK = 3
    VFORK = 4
    EXECVE = 5
    EXECVEAT = 6
    UNSHARE = 7
    SETNS = 8


class Part(NamedTuple):
    """Bytes of the tracee's, and whether there is more of them."""

    content: bytes
    is_cut: bool


class Record(NamedTuple):
    """One of them; ``time`` is in nanoseconds of the monotonic clock."""

    kind: int
    call: int
    tid: int
    other: int
    time: int
    result: int
    args: tuple[int, ...]
    parts: tuple[Part, ...] = ()


def read_records(block: bytes) -> Iterator[Record]:
    """The records of a block, in their order."""
    at = 0
    while at < len(block):
        size, kind, call, tid, other, time, result, *args, count = _FIXED.unpack_from(block, at)
        parts = tuple(_parts(block, at + _FIXED.size, count)) if count else ()
        yield Record(kind, call, tid, other, time, result, tuple(args), parts)
        at += size


def _parts(block: bytes, at: int, count: int) -> Iterator[Part]:
    for _ in range(count):
        (word,) = _LENGTH.unpack_from(block, at)
        begin = at + _LENGTH.size
        at = begin + (word & ~_CUT)
        yield Part(block[begin:at], bool(word & _CUT))
