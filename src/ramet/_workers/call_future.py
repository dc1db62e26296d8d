"""The future of a call: a running one can be cancelled, which kills its processes."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures._base import CANCELLED, RUNNING
from contextlib import suppress
from operator import attrgetter, call
from threading import Condition, Lock
from typing import TYPE_CHECKING, Any, TypeVar

from .._core import Held

if TYPE_CHECKING:
    from collections import deque

    from .._sandbox.overlay.changes import Changes

T = TypeVar("T")


class FutureCondition(Condition):
    """A Condition whose lock is held, or not, as its ``with`` says, wherever a signal handler raises.

    Condition's own methods may be interrupted between the lock's and what they note of it. A future's lock
    that stays taken stops the thread that sets the future, and so all other calls.
    """

    if TYPE_CHECKING:  # what Condition's own wait() uses
        _waiters: deque[Lock]
        _release_save: Callable[[], object]
        _acquire_restore: Callable[[object], None]

    # Looked up before the lock is taken; what is found are the lock's own methods, in C.
    __enter__ = property(attrgetter("_lock.__enter__"))
    __exit__ = property(attrgetter("_lock.__exit__"))

    def wait(self, timeout: float | None = None) -> bool:
        """Let the lock go until notified, ``timeout`` seconds at most; returns whether it was notified."""
        waiter = Lock()
        waiter.acquire()
        self._waiters.append(waiter)
        let_go, take_again = map(call, (self._release_save,)), self._acquire_restore
        state: list[object] = []
        try:
            state += let_go  # no handler runs between the two, nor before what follows is entered
            return waiter.acquire(timeout=-1 if timeout is None else max(timeout, 0))
        finally:
            take_again(state[0])
            with suppress(ValueError):  # who notifies has removed it
                self._waiters.remove(waiter)


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

    def __init__(self) -> None:
        super().__init__()
        self._condition = FutureCondition()

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
