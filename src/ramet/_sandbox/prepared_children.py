"""Children that are confined ahead, each for one program: what is left to do then is an exec.

Each is a task in the caller's memory, with namespaces, /tmp, cgroups, rules and filter of its own. It has
one descriptor, over which it waits for those of its program. A thread of the caller makes another when one
was taken and its program has ended, and ends what is left of that one's namespaces, which the caller would
wait for as long as for the program.
"""

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from .._core import Held, Plan
from .._kernel import procfs
from .._kernel.descriptors import Descriptors
from .._process.launching import Ahead, launch_ahead
from .._process.tree.pid_namespace import PidNamespace
from .._process.watch_thread import Look, watch_thread
from .._setup.order import Steps
from .supervision import Supervision
from .view import View

# After the end of a program its caller goes on first, who may wait for the interpreter lock else.
_DELAY_SECONDS = 0.001
_LOOK_SECONDS = 0.01  # until the next look at an init that ends


class PreparedChild(NamedTuple):
    """One that waits.

    supervision: of what it and its program use. view: what it was made to see. orphans: a descriptor by
    which it is known whether its program has left any, none where that cannot be known.
    """

    ahead: Ahead
    supervision: Supervision
    view: View
    orphans: Descriptors

    def end(self) -> None:
        """No program will come."""
        self.ahead.end()
        self.orphans.close()
        self.supervision.give_up()


class PreparedChildren:
    """So many of one sandbox. A copy of this process has none.

    prepare: makes one, or raises; None when the sandbox is gone. ``nothing``: a descriptor of /dev/null.
    """

    def __init__(self, count: int, prepare: Callable[[], PreparedChild | None]) -> None:
        self._count = count
        self._prepare = prepare
        self._usable_by = {os.getpid()}  # empty once it is closed
        self._making = threading.RLock()  # they use the same place, one after the other
        self._held = Descriptors()
        self.nothing = self._held.open(os.open, os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.place = self._held.open(os.open, os.devnull, os.O_PATH | os.O_CLOEXEC)
        self._ready: deque[PreparedChild] = deque()
        self._empty: list[PidNamespace] = []  # of programs that have ended
        self._close = weakref.finalize(self, _end_all, self._usable_by, self._ready, self._empty)

    def make(
        self, steps: Steps, supervision: Supervision, view: View, *, has_siblings: bool
    ) -> PreparedChild | None:
        """One that has carried out the steps; None when one of them failed. Raises OSError.

        has_siblings: its program may make children of this process, by CLONE_PARENT.
        """
        plan = Plan([*steps.steps, ("AWAIT", self.place)])
        made = launch_ahead(plan, self.place, self.nothing)
        if not isinstance(made, Ahead):
            return None
        orphans = Descriptors() if has_siblings else _children_of(made.pids[1])
        return PreparedChild(made, supervision, view, orphans)

    def fill_up(self) -> None:
        """Have a thread make those that are lacking."""
        is_wanting = len(self._ready) < self._count or len(self._empty) > 0
        if is_wanting and os.getpid() in self._usable_by:
            try:
                watch_thread.add(_filling(weakref.ref(self)), _DELAY_SECONDS)
            except BlockingIOError:  # no thread can be made, as at the interpreter's exit
                _end_empty(self._empty)

    def ends_later(self, orphans: Descriptors, namespace: PidNamespace) -> bool:
        """Whether it ends the namespace of a program that has ended; if so, fill_up() is to be called."""
        is_usable = os.getpid() in self._usable_by
        if not (is_usable and any(map(namespace.is_left_alone, orphans))):
            return False
        self._empty.append(namespace)
        if os.getpid() not in self._usable_by:  # it was closed meanwhile
            _end_empty(self._empty)
        return True

    def fill(self) -> list[PidNamespace]:
        """Make those that are lacking; where one cannot be made, programs are confined when they come.

        Returns the namespaces of programs that have ended, which end meanwhile, and are for reap(). That is
        not waited for here: what they take with them may be a large /tmp.
        """
        with Held(self._making) as take:
            take()
            ending = list(self._empty)
            for namespace in ending:
                namespace.kill()
            self._prepare_lacking()
        return ending

    def _prepare_lacking(self) -> None:
        while len(self._ready) < self._count and os.getpid() in self._usable_by:
            with suppress(OSError, ValueError):  # of a layer, where its path is gone
                prepared = self._prepare()
                if prepared is not None:
                    self._ready.append(prepared)
                    continue
            break

    def reap(self, namespace: PidNamespace) -> bool:
        """Whether it has ended; then its init is reaped."""
        has_ended = namespace.finish()
        if has_ended:
            with suppress(ValueError):  # another thread has it
                self._empty.remove(namespace)
        return has_ended

    def take(self, view: View) -> PreparedChild | None:
        """One that was made to see that; None where none is ready."""
        while self._ready and os.getpid() in self._usable_by:
            try:
                prepared = self._ready.popleft()
            except IndexError:  # another thread has it
                break
            if prepared.view is view:
                return prepared
            prepared.end()
        return None

    def close(self) -> None:
        """End all."""
        if os.getpid() in self._usable_by:
            with Held(self._making) as take:
                take()
                self._close()
        self._held.close()


def _filling(handle: "weakref.ref[PreparedChildren]") -> Look:
    """What the thread does when it comes to it, and then until the inits that it has killed are reaped."""
    left: list[PidNamespace] | None = None

    def look() -> float | None:
        nonlocal left
        children = handle()
        if children is None:
            return None
        if left is None:
            left = children.fill()
        left = [namespace for namespace in left if not children.reap(namespace)]
        return _LOOK_SECONDS if left else None

    return look


def _children_of(init: int) -> Descriptors:
    """The file that tells of them, if this process's /proc has it. Source: proc_tid_children(5)."""
    held = Descriptors()
    if procfs.shows_own_pids():
        with suppress(OSError):
            held.open(os.open, f"/proc/{init}/task/{init}/children", os.O_RDONLY | os.O_CLOEXEC)
    return held


def _end_all(usable_by: set[int], ready: deque[PreparedChild], empty: list[PidNamespace]) -> None:
    is_makers = os.getpid() in usable_by
    usable_by.clear()
    while is_makers and ready:
        ready.popleft().end()
    if is_makers:
        _end_empty(empty)


def _end_empty(namespaces: list[PidNamespace]) -> None:
    for namespace in list(namespaces):
        namespace.end()
        with suppress(ValueError):  # another thread has it
            namespaces.remove(namespace)
