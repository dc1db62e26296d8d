"""What watches a confined child, and tells at its end what it has used and what ended it."""

import signal
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import RLock
from typing import Any

from .._core import Held, TidWord
from .._process.child import Child
from .._process.tree.pid_namespace import PidNamespace
from ..exit_status import ExitStatus
from .amounts.place import Place
from .amounts.usage import Usage
from .overlay.changes import Changes
from .overlay.layer import Layer
from .planning.row import Row
from .whole_tree import Tree

__all__ = ["SandboxReport", "Supervision"]


@dataclass(frozen=True, kw_only=True)
class SandboxReport(Usage):
    """How a confined child ended, and what it and all that it started have used.

    ``reason``: "exited", "signaled", "deadline", "out of memory", "cpu time", "processes", "output",
    "file size", or "forbidden call NAME"; "forbidden call" alone for a function, a template's call, and a
    program whose ``syscalls`` is a file. ``lost``: with ``require="best"`` the wishes that were not
    met, each a row of Sandbox.plan().
    """

    reason: str = "unknown"
    changes: Changes | None = None
    lost: tuple[Row, ...] = ()


_NOTHING = -1
_left: list[TidWord] = []


class Supervision:
    """Of one child; it owns the place that keeps its amounts.

    when_gone: called when all is reaped. ends_later: whether its namespace, in which nothing is left, is
    ended then, and need not be waited for.
    """

    def __init__(
        self,
        place: Place,
        lost: tuple[Row, ...],
        layer: Layer | None = None,
        told: TidWord | None = None,
        name_of: Callable[[int], str] | None = None,
        tree: Tree | None = None,
    ) -> None:
        self.place = place
        self._tree = tree
        self._told, self._name_of = told, name_of
        self._layer = layer
        self._lost = lost
        self._ending = RLock()
        self._status: ExitStatus | None = None
        self._changes: Changes | None = None
        self._report: SandboxReport | None = None
        self.when_gone: Callable[[], object] | None = None
        self.ends_later = _never

    def take_layer(self, layer: Layer | None) -> None:
        """That of the child, where it was not known before."""
        self._layer = layer

    def begin(self, child: Child[Any], copied_from: int | None = None) -> None:
        """The child runs from now on. copied_from: as in Place.begin()."""
        if self._tree is not None:  # whether or not there is an amount to be watched
            self._tree.begin(child)
        if child.pidfd is None or not self.place.is_watched:
            return
        namespace = child._own_namespace()
        root = None if namespace is None else namespace.pid
        self.place.begin(child.pid, child.pidfd, _killing(child, self._tree), root, copied_from)

    def ended(self, status: ExitStatus) -> ExitStatus:
        """The status with its reason; the child has been reaped, and its tree is dead."""
        with Held(self._ending) as take:  # two threads may have waited for it
            take()
            if self._status is None:
                if self._tree is not None:
                    self._tree.end()
                if not status.success:
                    self._tell_of_call(status)
                self._status = self.place.ended(status)
                if self._layer is not None:
                    self._changes = Changes(self._layer)
                self.place.close()
            return self._status

    def gone(self) -> None:
        """The child and all that it has started are reaped: nobody waits for what is done now."""
        self.ends_later = _never
        when_gone, self.when_gone = self.when_gone, None
        if when_gone is not None:
            when_gone()

    @property
    def report(self) -> SandboxReport | None:
        """None until the child has been reaped; made when it is asked for, as few are."""
        if self._report is None and self._status is not None:
            used = self.place.usage()
            fields = {name: getattr(used, name) for name in used.__dataclass_fields__}
            self._report = SandboxReport(
                **fields, reason=self._status.reason, changes=self._changes, lost=self._lost
            )
        return self._report

    def _tell_of_call(self, status: ExitStatus) -> None:
        """Whether it was a forbidden call that has ended it, and which if the init was told of it."""
        told = _NOTHING if self._told is None else self._told.value
        if told != _NOTHING and self._name_of is not None:
            self.place.because(f"forbidden call {self._name_of(told)}")
        elif status.signal == signal.SIGSYS:
            self.place.because("forbidden call")

    def count_output(self, count: int) -> bool:
        """So many bytes of its output were read; returns whether it may write more."""
        return self.place.count_output(count)

    def give_up(self) -> None:
        """The child was never made, or nobody will wait for it: it has been killed."""
        if self._tree is not None:
            self._tree.give_up()
        if self._told is not None:  # the init may live a moment more, and write to it
            _left.append(self._told)
        if self._layer is not None:
            self._layer.close()
        self.place.close()
        self.gone()


def _never(namespace: PidNamespace) -> bool:  # noqa: ARG001 - as others take it
    return False


def _killing(child: Child[Any], tree: Tree | None) -> Callable[[], None]:
    handle = weakref.ref(child)

    def kill() -> None:
        living = handle()
        if living is None:
            return
        if tree is None:
            _kill_confined(living)
        else:
            tree.kill(living)

    return kill


def _kill_confined(child: Child[Any]) -> None:
    """Kill it and all that is in its namespace."""
    namespace = child._own_namespace()
    if namespace is not None:
        namespace.kill()
    with suppress(ProcessLookupError):
        child.kill()
