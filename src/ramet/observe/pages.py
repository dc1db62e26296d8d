"""The pages of a child beside those of the process that it was copied from."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import product

from .._kernel.process_memory import PAGE_BYTES
from .._kernel.task_memory import Mapping, PageState, PageTable

# So many pages of both are in memory at a time, a byte each: those of 4 GiB.
_AT_ONCE = 1 << 20


class Kind(IntEnum):
    """What a page of the child is: see the fields of Memory. NEW is what is its own and not copied."""

    ABSENT = 0
    SWAPPED = 1
    SHARED = 2
    COMMON = 3
    COPIED = 4
    NEW = 5
    FILES = 6


@dataclass(frozen=True)
class Span:
    """A range of pages: the kind of each, a byte for one."""

    start: int
    kinds: bytes


def spans(mapping: Mapping, child: PageTable, origin: PageTable | None) -> Iterator[Span]:
    """The pages of a mapping that are in memory. Without an origin none is SHARED or COPIED."""
    for first, last in child.populated(mapping.start, mapping.end):
        for start in range(first, last, _AT_ONCE * PAGE_BYTES):
            end = min(last, start + _AT_ONCE * PAGE_BYTES)
            here = child.states(start, end)
            there = bytes(len(here)) if origin is None else origin.states(start, end)
            yield Span(start, _compared(here, there))


def counted(found: list[Span]) -> Counter[Kind]:
    """How many pages there are of each kind."""
    return Counter({kind: sum(span.kinds.count(kind) for span in found) for kind in Kind})


def _compared(here: bytes, there: bytes) -> bytes:
    """The kind of each page. Both are added as one large number, since there may be millions."""
    both = int.from_bytes(here, "little") + _STATES * int.from_bytes(there, "little")
    return both.to_bytes(len(here), "little").translate(_KINDS)


def _kind(here: PageState, there: PageState) -> Kind:
    """What a page is by its state in the child and, at the same address, in the origin.

    An anonymous page that is mapped more than once in both is taken for the same one: it could be two only
    if the child has a child, which shares it, and the origin another one. So is a page of which one side
    says that it is common, and the other that it is of a huge page that may be exclusive.
    """
    match here:
        case PageState.ABSENT:
            return Kind.ABSENT
        case PageState.SWAPPED:
            return Kind.SWAPPED
        case PageState.FILE_EXCLUSIVE:
            return Kind.FILES
        case PageState.FILE_COMMON:
            return Kind.SHARED if there == here else Kind.COMMON
        case PageState.COMMON | PageState.HUGE_COMMON:
            return Kind.SHARED if there in _PERHAPS_COMMON else Kind.COMMON
        case PageState.EXCLUSIVE | PageState.HUGE_EXCLUSIVE:
            return _exclusive(here, there)


def _exclusive(here: PageState, there: PageState) -> Kind:
    if here == PageState.HUGE_EXCLUSIVE and there == PageState.COMMON:
        return Kind.SHARED
    if there == PageState.SWAPPED:  # it may be this one, in the swap cache
        return Kind.SWAPPED
    return Kind.NEW if there == PageState.ABSENT else Kind.COPIED


_PERHAPS_COMMON = {PageState.COMMON, PageState.HUGE_COMMON, PageState.HUGE_EXCLUSIVE}
_STATES = len(PageState)
_KINDS = bytes(_kind(here, there) for there, here in product(PageState, repeat=2)).ljust(256, b"\0")
