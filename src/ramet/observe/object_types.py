"""Which Python types the objects on copied pages have: a copy of the process goes through its objects."""

import gc
import os
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from .._function.clone import clone
from .._process.child import Child
from .census import Census
from .contents import Copied
from .memory_report import TypeMemory
from .tasks import ended

_AT_ONCE: Final = 1000


class Found(NamedTuple):
    """What the objects on a child's copied pages are; see ChildMemory."""

    types: tuple[TypeMemory, ...]
    same_values: int


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


def types_on(children: list[list[Copied]], copier: Copier) -> list[Found]:
    """For each child, by its copied pages: what objects of the copied process lie there.

    Raises what clone() and result() raise.
    """
    pid = copier.pid
    with copier.clone(_found, children) as walker:
        found = [
            Found(tuple(TypeMemory(*row) for row in rows), same_values)
            for rows, same_values in walker.result()
        ]
    if copier.pid != pid:  # with other objects, at other addresses
        raise ended(pid)
    return found


def _found(children: list[list[Copied]]) -> list[tuple[list[tuple[Any, ...]], int]]:
    """The fields of Found, as plain data."""
    tracked = _tracked()  # before anything is made here that would be counted, too
    census = Census(children)
    for some in _objects(tracked):
        census.count(some)
    return [
        ([tuple(row) for row in census.rows(child)], census.same_values(child))
        for child in range(len(children))
    ]


def _tracked() -> list[object]:
    """The objects that the collector knows, frozen ones too. It does no more in this process."""
    gc.disable()
    gc.unfreeze()
    return gc.get_objects()


def _objects(tracked: list[object]) -> Iterator[list[object]]:
    """These, and what is reached from them and is not known to the collector, in parts; each once.

    That is what has no references (texts, numbers), or was found to need no collection.
    """
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
    seen.update(new)
    return list(new.values())
