"""The future of a call: a running one can be cancelled, which kills its processes."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures._base import CANCELLED, RUNNING
from typing import TYPE_CHECKING, Any, TypeVar

from .._core import Held

if TYPE_CHECKING:
    from .._sandbox.overlay.changes import Changes

T = TypeVar("T")


class CallFuture(Future[T]):
    """A Future whose call runs in a process of its own.

    ``stdout``, ``stderr``: what the call wrote there, as text, with capture_output=True; else None.
    ``tree_ended_by``: how the processes that the call left were ended: "pid namespace", which none can
    escape, "cgroup", or "walk", which finds those that are still below the call's process; None before, and
    with ``reuse`` until that process has ended.
    ``changes``: with ``overlay`` of the sandbox, what the call has done to files; there when the future is
    done. With ``reuse`` they are those of all calls of one process, and None until that has ended.
    """

    stdout: str | None = None
    stderr: str | None = None
    tree_ended_by: str | None = None
    changes: "Changes | None" = None
    _kill: Callable[["CallFuture[Any]"], None] | None = None

    def cancel(self) -> bool:
        """Cancel the call. One that runs is killed, with all processes that it started.

        Returns False when it is done already.
        """
        if super().cancel():
            return True
        with Held(self._condition) as take:
            take()
            if self._state != RUNNING:
                return False
            self._state = CANCELLED
            self._condition.notify_all()
        if self._kill is not None:
            self._kill(self)
        self._invoke_callbacks()  # type: ignore[attr-defined]
        self.set_running_or_notify_cancel()
        return True

    def kill_by(self, kill: Callable[["CallFuture[Any]"], None] | None) -> None:
        """What ends the running call; None when it is over. The library's own."""
        self._kill = kill
