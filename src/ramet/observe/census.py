"""The objects of this process counted by type, with those on pages of which a child has a copy."""

import gc
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from types import MethodDescriptorType
from typing import Any, Final, NamedTuple, TypeAlias

from .._kernel.process_memory import PAGE_BYTES
from .contents import WORD, Copied

# Tells what an object takes itself, from its first byte on: its fields and its items.
_Sizer: TypeAlias = Callable[[Any], int]

_FREE_THREADED: Final = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
# What an object has for its reference count, and before it for the collector: Include/object.h.
_COUNT: Final = (8, 24) if _FREE_THREADED else (0, 8)
_LINKS: Final = 0 if _FREE_THREADED else 16
_FIELDS: Final = 24 if _FREE_THREADED else 8


class Row(NamedTuple):
    """The fields of TypeMemory."""

    name: str
    objects: int
    size: int
    copied_objects: int
    copied: int
    counted: int
    collected: int
    written: int


class Census:
    """Counts objects; see TypeMemory for what is counted of each type."""

    def __init__(self, children: Iterable[Iterable[Copied]]) -> None:
        self._children = [_Child(copies) for copies in children]
        self._copied = {page for child in self._children for page in child.pages}
        self._sizers: dict[type, _Sizer] = {}
        self._totals: defaultdict[type, list[int]] = defaultdict(lambda: [0, 0])

    def count(self, some: Iterable[object]) -> None:
        """Add these objects."""
        for one in some:
            kind, place = type(one), id(one)
            sizer = self._sizers.get(kind) or self._sizers.setdefault(kind, _sizer(kind))
            size = sizer(one)
            total = self._totals[kind]
            total[0] += 1
            total[1] += size
            last = (place + size - 1) // PAGE_BYTES
            if last in self._copied or last != (place - _LINKS) // PAGE_BYTES:
                links = _LINKS if gc.is_tracked(one) else 0
                for child in self._children:
                    child.count(kind, place, place + size, links)

    def rows(self, number: int) -> list[Row]:
        """The types with bytes on copied pages of this child, those with most differing objects first."""
        rows = [
            Row(_name(kind), *self._totals[kind], *counters)
            for kind, counters in self._children[number].counters.items()
            if not _name(kind).startswith(f"{__package__}.")  # what the measurement has made
        ]
        return sorted(
            rows,
            key=lambda row: (-(row.counted + row.collected + row.written), -row.copied, row.name),
        )

    def same_values(self, number: int) -> int:
        """The bytes of this child's copied pages that differ in counts and links alone, or in nothing."""
        return self._children[number].same_values() * PAGE_BYTES


class _Child:
    """What is counted for one child."""

    def __init__(self, copies: Iterable[Copied]) -> None:
        self.pages: dict[int, bytes] = {}  # by its number, the words of a page that differ
        self.counters: defaultdict[type, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
        self._explained: Counter[int] = Counter()
        words = PAGE_BYTES // WORD
        for copy in copies:
            for number in range(copy.pages):
                part = copy.differing[number * words : (number + 1) * words]
                self.pages[copy.start // PAGE_BYTES + number] = part

    def count(self, kind: type, place: int, end: int, links: int) -> None:
        """Add an object that lies between these addresses, with so many bytes of links before it."""
        copied = sum(part for _, part, _ in self._parts(place, end))
        linked = self._explained_words(place - links, place)
        if not copied and not linked:
            return
        counted = self._explained_words(place + _COUNT[0], place + _COUNT[1])
        written = any(1 in words for _, _, words in self._parts(place + _FIELDS, end))
        added = (place // PAGE_BYTES in self.pages, copied, counted > 0, linked > 0, written)
        counters = self.counters[kind]
        for number, one in enumerate(added):
            counters[number] += one

    def same_values(self) -> int:
        """The number of pages that differ in no other words than those of counts and links."""
        return sum(
            sum(words) == self._explained.get(page, 0)
            for page, words in self.pages.items()
            if words
        )

    def _explained_words(self, start: int, end: int) -> int:
        """How many words differ between these addresses, which is for a count or links."""
        found = 0
        for page, _, words in self._parts(start, end):
            if 1 in words:
                here = sum(words)
                found += here
                self._explained[page] += here
        return found

    def _parts(self, start: int, end: int) -> Iterator[tuple[int, int, bytes]]:
        """The copied pages between these addresses: the bytes in each, and which words there differ."""
        while start < end:
            page, place = divmod(start, PAGE_BYTES)
            part = min(end - start, PAGE_BYTES - place)
            words = self.pages.get(page)
            if words is not None:
                yield page, part, words[place // WORD : (place + part + WORD - 1) // WORD]
            start += part


def _sizer(kind: type) -> _Sizer:
    """A method in C, since one in Python would run code of the type's.

    object's own tells of list and dict what they are without their tables. It reads the number of items
    where objects of varying length have it, which a frame is without: these types have a method each.
    """
    if not kind.__itemsize__ and not issubclass(kind, str):
        return object.__sizeof__
    methods = (vars(base).get("__sizeof__") for base in kind.__mro__)
    return next(method for method in methods if isinstance(method, MethodDescriptorType))


def _name(kind: type) -> str:
    """As tracebacks have it: with its module, unless it is a builtin type."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
