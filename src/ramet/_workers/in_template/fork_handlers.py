"""Python's fork handlers in a template, which has one thread and needs few of them.

Those of threading and logging renew the locks that another thread may have held, and look through all
threads and all logging handlers for that: half of what a new clone does, and of the pages that it copies
since it writes to them. In a process of one thread nobody else holds a lock. But a clone may start threads:
before it forks itself it has all handlers again.
"""

import gc
import os
import sys
import threading
from collections.abc import Callable, Collection
from operator import attrgetter
from typing import Any, TypeAlias

from ..._kernel import procfs
from ..crossing.messages import Channel

Handler: TypeAlias = Callable[[], Any]

# By module, those that take and renew locks; and random's, instead of which renewals.py does it.
_NOT_NEEDED = {
    "logging": (
        "_acquireLock",
        "_releaseLock",
        "_prepareFork",
        "_afterFork",
        "_after_at_fork_child_reinit_locks",
    ),
    "threading": ("_after_fork",),
    "random": ("_inst.seed",),
}


def leave_out_needless(others: Collection[Handler], control: Channel) -> None:
    """Have this process make its clones without them. others: more that they need not have.

    control: its control socket, which a clone has closed.

    It comes before gc.freeze(), after which the collector does not show the lists of handlers any more.
    """
    global _shortened
    if _shortened is None:
        lists = _lists_of_handlers()
    else:  # in a template that is a clone of another, which has frozen them
        lists = _shortened.lengthen()
        _shortened = None
    if lists is not None and _has_one_thread():
        _shortened = _Shortened(lists, [*_needless(), *others], control)


def leave_out_newer(others: Collection[Handler], control: Channel) -> None:
    """Those as well that were registered since, by what was imported; where some are left out at all."""
    if _shortened is not None:
        leave_out_needless(others, control)


class _Shortened:
    """The lists of what is called before a fork, and in parent and child after it, without some."""

    def __init__(
        self,
        lists: list[list[Handler]],
        needless: Collection[Handler],
        control: Channel,
    ) -> None:
        self._template, self._control = os.getpid(), control
        self._lists = lists
        self._all = [list(handlers) for handlers in lists]
        self._left_out_before = [handler for handler in lists[0] if handler in needless]
        for handlers in lists:
            handlers[:] = [handler for handler in handlers if handler not in needless]
        lists[0].append(self._before_fork)
        self._lengths = [len(handlers) for handlers in lists]

    def lengthen(self) -> list[list[Handler]]:
        """Have all again, and those that were registered meanwhile. Returns the lists."""
        for handlers, every, length in zip(self._lists, self._all, self._lengths, strict=True):
            handlers[:] = every + handlers[length:]
        self._all = [list(handlers) for handlers in self._lists]
        self._lengths = [len(handlers) for handlers in self._lists]  # again, it changes nothing
        return self._lists

    def _before_fork(self) -> None:
        # In a pid namespace of its own a clone may have the pid that its template has in another.
        if os.getpid() == self._template and not self._control.closed:
            return
        self.lengthen()
        for handler in reversed(self._left_out_before):  # Python goes on with the list as it was
            handler()


_shortened: _Shortened | None = None


def _lists_of_handlers() -> list[list[Handler]] | None:
    """The interpreter's, found by what is registered last in each; None if that fails."""

    def marks() -> tuple[Handler, Handler, Handler]:
        return lambda: None, lambda: None, lambda: None

    before, in_parent, in_child = of_all = marks()
    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
    lists = []
    for mark in of_all:
        found = [one for one in gc.get_referrers(mark) if type(one) is list and one[-1:] == [mark]]
        for handlers in found:
            handlers.pop()
        lists += found
    return lists if len(lists) == len(of_all) else None


def _has_one_thread() -> bool:
    return threading.enumerate() == [threading.main_thread()] and not procfs.other_threads()


def _needless() -> list[Handler]:
    found = []
    for name, handlers in _NOT_NEEDED.items():
        for handler in handlers:
            try:
                found.append(attrgetter(handler)(sys.modules[name]))
            except (KeyError, AttributeError):  # this Python has no such one
                continue
    return found
