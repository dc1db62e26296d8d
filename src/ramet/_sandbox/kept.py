"""Confinements that were used last, by their descriptions."""

import os
import threading
from itertools import count
from typing import Any, TypeVar, cast

from .._core import Held
from .confinement import Confinement
from .description import Sandbox
from .planning import machine

C = TypeVar("C", bound=Confinement)

_MOST_KEPT = 16  # each with four descriptors, and a cgroup or a few
# No OrderedDict: descriptions are compared by functions of Python's, in which a signal handler may raise:
# that leaves an OrderedDict with a key that it lists and does not find.
_kept: dict[tuple[type[Any], Sandbox], Confinement] = {}
_uses = count(1)
_callers: list[Confinement] = []
_lock = threading.RLock()  # a signal handler may start a confined program as well
os.register_at_fork(after_in_child=_lock._at_fork_reinit)  # type: ignore[attr-defined] # as threading does


def found_confinement(kind: type[C], sandbox: Sandbox) -> C | None:
    """What confinement_of() would find; None where it would make it."""
    with Held(_lock) as take:
        take()
        found = _kept.get((kind, sandbox))
        if found is None or not found.is_current:
            return None
        found.used = next(_uses)
        return cast(C, found)


def confinement_of(kind: type[C], sandbox: Sandbox, asked: Sandbox | None = None) -> C:
    """The confinement of that kind of a description, for one whose amounts are this process's to keep.

    asked: the caller's description, where this is another that was made of it.
    Raises SandboxError for a wish that this machine cannot meet, and for a path that cannot be used.
    """
    with Held(_lock) as take:
        take()
        found = _kept.pop((kind, sandbox), None)
        if found is None or not found.is_current:
            if found is not None:
                found.preparations.clear()
            found = kind(sandbox, list(_kept.values()))
            found.asked = asked or sandbox
            _make_room()
        found.used = next(_uses)
        _kept[kind, sandbox] = found
        return cast(C, found)


def _make_room() -> None:
    by_use = sorted(_kept.items(), key=lambda item: item[1].used)
    for oldest, longest_unused in by_use[: 1 - _MOST_KEPT]:
        longest_unused.preparations.clear()  # which refers to it
        _kept.pop(oldest, None)


def release(sandbox: Sandbox) -> None:
    """See Sandbox.release()."""
    with Held(_lock) as take:
        take()
        released = [_kept.pop(key, None) for key in _keys_of(sandbox)]
    for found in filter(None, released):
        found.close()


def _keys_of(sandbox: Sandbox) -> list[tuple[type[Any], Sandbox]]:
    return [key for key, found in list(_kept.items()) if found.asked == sandbox]


def forget() -> None:
    """Make all anew: in a child that is confined itself, where this machine grants other things."""
    with Held(_lock) as take:
        take()
        # They are not let go: their descriptors are closed here, and the numbers may be others' by now.
        _callers.extend(_kept.values())
        _kept.clear()
    machine.forget()
