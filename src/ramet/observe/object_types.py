"""Which Python types the objects on copied pages have."""

import gc
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from types import MethodDescriptorType
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from .._function.clone import clone
from .._kernel.process_memory import PAGE_BYTES
from .._process.child import Child
from .memory_report import TypeMemory
from .pages import Kind, Span
from .tasks import ended

_AT_ONCE: Final = 1000
_COPIED_RUN: Final = re.compile(b"%c+" % Kind.COPIED)

# Tells what an object takes itself, from its reference count on: its fields and its items.
_Sizer: TypeAlias = Callable[[Any], int]


@runtime_checkable
class Copier(Protocol):
    """What makes copies of one process: a Template of its own, ThisProcess of this one."""

    @property
    def pid(self) -> int:
        """Of the process that is copied."""

    def clone(self, fn: Callable[..., Any], *args: Any) -> Child[Any]:
        """Call a function in a copy."""


class ThisProcess:
    """Copies of this process."""

    def __init__(self) -> None:
        self.pid = os.getpid()

    def clone(self, fn: Callable[..., Any], *args: Any) -> Child[Any]:
        """ramet.clone()."""
        return clone(fn, *args)


def types_on(children: list[list[Span]], copier: Copier) -> list[tuple[TypeMemory, ...]]:
    """For each child, by its pages: the types of the copied process's objects that lie on copied ones.

    A copy of that process goes through the objects. Raises what clone() and result() raise.
    """
    pid = copier.pid
    with copier.clone(_rows, children) as walker:
        found = [tuple(TypeMemory(*row) for row in rows) for rows in walker.result()]
    if copier.pid != pid:  # with other objects, at other addresses
        raise ended(pid)
    return found


def _rows(children: list[list[Span]]) -> list[list[tuple[str, int, int, int, int]]]:
    """The fields of TypeMemory as plain data, for each child; most copied bytes first."""
    census = _Census(children)
    for some in _objects():
        census.count(some)
    return [census.rows(child) for child in range(len(children))]


class _Census:
    """Counts objects by type, and by the set of children that have a copy of the page.

    A set of children is a number, of which each child has a bit.
    """

    def __init__(self, children: list[list[Span]]) -> None:
        self._copies: defaultdict[int, int] = defaultdict(int)  # the children by number of the page
        for child, spans in enumerate(children):
            for page in _copied_pages(spans):
                self._copies[page] |= 1 << child
        self._sizers: dict[type, _Sizer] = {}
        self._objects: Counter[tuple[type, int]] = Counter()
        self._sizes: Counter[tuple[type, int]] = Counter()

    def count(self, some: Iterable[object]) -> None:
        """Add these objects."""
        for one in some:
            kind, place = type(one), id(one)
            sizer = self._sizers.get(kind) or self._sizers.setdefault(kind, _sizer(kind))
            end = place + sizer(one)
            page = place // PAGE_BYTES
            children = self._copies.get(page, 0)
            self._objects[kind, children] += 1
            while end > (page + 1) * PAGE_BYTES:
                self._sizes[kind, children] += (page + 1) * PAGE_BYTES - place
                page += 1
                place = page * PAGE_BYTES
                children = self._copies.get(page, 0)
            self._sizes[kind, children] += end - place

    def rows(self, child: int) -> list[tuple[str, int, int, int, int]]:
        """The types with bytes on pages of which this child has a copy."""
        totals: defaultdict[type, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for first, counters in enumerate((self._objects, self._sizes)):
            for (kind, children), number in counters.items():
                totals[kind][first] += number
                totals[kind][first + 2] += number * (children >> child & 1)
        rows = [
            (_name(kind), objects, size, copied_objects, copied)
            for kind, (objects, size, copied_objects, copied) in totals.items()
            if copied
        ]
        return sorted(rows, key=lambda row: (-row[4], row[0]))


def _sizer(kind: type) -> _Sizer:
    """A method in C, since one in Python would run code of the type's.

    object's own tells of list and dict what they are without their tables. It reads the number of items
    where objects of varying length have it, which a frame is without: these types have a method each.
    """
    if not kind.__itemsize__ and not issubclass(kind, str):
        return object.__sizeof__
    methods = (vars(base).get("__sizeof__") for base in kind.__mro__)
    return next(method for method in methods if isinstance(method, MethodDescriptorType))


def _copied_pages(spans: list[Span]) -> Iterator[int]:
    for span in spans:
        first = span.start // PAGE_BYTES
        for run in _COPIED_RUN.finditer(span.kinds):
            yield from range(first + run.start(), first + run.end())


def _objects() -> Iterator[list[object]]:
    """All objects of this process that can be found, in parts; each object once.

    These are what the collector knows, frozen objects too, and what is reached from there: what has no
    references (texts, numbers), or was found to need no collection.
    """
    gc.disable()
    gc.unfreeze()
    tracked = gc.get_objects()
    seen: set[int] = set()
    for first in range(0, len(tracked), _AT_ONCE):
        some = tracked[first : first + _AT_ONCE]
        yield some
        while some := _untracked(gc.get_referents(*some), seen):
            yield some


def _untracked(referents: list[object], seen: set[int]) -> list[object]:
    """Those that the collector does not know, and that are not among the seen, to which they are added."""
    new = {id(one): one for one in referents if not gc.is_tracked(one)}
    for place in new.keys() & seen:
        del new[place]
    seen |= new.keys()
    return list(new.values())


def _name(kind: type) -> str:
    """As tracebacks have it: with its module, unless it is a builtin type."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
