"""Looks at calls while they run, where the kernel keeps no limit of theirs."""

import weakref
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ..._limits.resident_watch import SECONDS_BETWEEN_LOOKS
from ..._process.watch_thread import watch_thread

if TYPE_CHECKING:
    from .called_child import CalledChild

_TREE_SECONDS = 1.0


class Watched(Protocol):
    """What a call may have so much of."""

    def look(self, child: "CalledChild[Any]") -> bool:
        """Kill the call if it has too much. Returns whether it need not be looked at any more."""


def watch_call(watched: Watched, child: "CalledChild[Any]") -> None:
    """Look from now on, until the look wants no more or the child's handle is gone.

    BlockingIOError: no thread can be made; watch_thread.have_thread() tells before the call begins.
    """
    watch_thread.add(partial(_look, watched, weakref.ref(child)), SECONDS_BETWEEN_LOOKS)


def _look(watched: Watched, reference: "weakref.ref[CalledChild[Any]]") -> float | None:
    child = reference()
    if child is None:
        return None
    try:
        is_done = watched.look(child)
    except PermissionError:  # it has become another user's, which no signal of this one's reaches
        return None
    return None if is_done else SECONDS_BETWEEN_LOOKS


def kill_tree(child: "CalledChild[Any]") -> None:
    """Kill a call and what it has started, which may be what exceeds the limit."""
    if not child._has_namespace:
        with suppress(OSError, RuntimeError):  # also where no descriptor is free to find it by
            child._end_tree(_TREE_SECONDS)
    child._kill_all()
