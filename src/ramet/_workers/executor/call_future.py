"""The future of a call: a running one can be cancelled, which kills its processes.

What takes the lock of concurrent.futures' Future is written anew: its ``with`` lets a signal handler raise
between the taking and the block on Python 3.14, see native/python/held_lock.c, and the lock stays taken.
"""

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING
from contextlib import suppress
from operator import attrgetter, call
from threading import Condition, Lock
from typing import TYPE_CHECKING, Any, TypeVar

from ..._core import Held

if TYPE_CHECKING:
    from collections import deque

    from ..._sandbox.overlay.changes import Changes

T = TypeVar("T")

_log = logging.getLogger("concurrent.futures")
_CANCELLED = frozenset({CANCELLED, CANCELLED_AND_NOTIFIED})
_DONE = _CANCELLED | {FINISHED}


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
    _kill: Callable[["CallFuture[Any]"], None] | None = None  # that ends the call while it runs

    def __init__(self) -> None:
        super().__init__()
        self._condition = FutureCondition()

    def cancel(self) -> bool:
        """Cancel the call. One that runs is killed, with all processes that it started.

        Returns False when it is done already.
        """
        with Held(self._condition) as take:
            take()
            if self._state in _CANCELLED:
                return True
            if self._state == FINISHED:
                return False
            was_running, self._state = self._state == RUNNING, CANCELLED
            self._condition.notify_all()
        if was_running and self._kill is not None:
            self._kill(self)
        self._invoke_callbacks()  # type: ignore[attr-defined]
        if was_running:
            self.set_running_or_notify_cancel()
        return True

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._state in _CANCELLED

    def running(self) -> bool:
        """Whether the call has begun, and is not done."""
        return self._state == RUNNING

    def done(self) -> bool:
        """Whether there is an outcome, or it was cancelled."""
        return self._state in _DONE

    def add_done_callback(self, fn: Callable[["Future[T]"], object]) -> None:
        """Call the function with this future when it is done; at once if it is."""
        with Held(self._condition) as take:
            take()
            if self._state not in _DONE:
                self._done_callbacks.append(fn)  # type: ignore[attr-defined]
                return
        try:
            fn(self)
        except Exception:
            _log.exception("exception calling callback for %r", self)

    def result(self, timeout: float | None = None) -> T:
        """What the call returned; what it raised is raised here.

        Raises CancelledError, and TimeoutError when it is not done in so many seconds.
        """
        error = self.exception(timeout)
        if error is None:
            return self._result  # type: ignore[return-value] # None is what the call returned
        try:
            raise error
        finally:
            del self, error  # a cycle with the traceback

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the call raised, or None. Raises as result() does."""
        with Held(self._condition) as take:
            take()
            if self._state not in _DONE:
                self._condition.wait(timeout)
            state = self._state
        if state in _CANCELLED:
            raise CancelledError
        if state != FINISHED:
            raise TimeoutError
        return self._exception

    # ---- for the executor

    def set_running_or_notify_cancel(self) -> bool:
        """For executors: the call is about to begin, unless it was cancelled; returns whether it may."""
        with Held(self._condition) as take:
            take()
            if self._state == PENDING:
                self._state = RUNNING
                return True
            if self._state != CANCELLED:
                raise RuntimeError(f"invalid future: expected a pending one, got {self._state}")
            self._state = CANCELLED_AND_NOTIFIED
            for waiter in self._waiters:
                waiter.add_cancelled(self)
            return False

    def set_result(self, result: T) -> None:
        """For executors: the call has returned. Raises InvalidStateError when it is done already."""
        with Held(self._condition) as take:
            take()
            self._refuse_if_done()
            self._result, self._state = result, FINISHED
            for waiter in self._waiters:
                waiter.add_result(self)
            self._condition.notify_all()
        self._invoke_callbacks()  # type: ignore[attr-defined]

    def set_exception(self, exception: BaseException | None) -> None:
        """For executors: the call has raised. Raises InvalidStateError when it is done already."""
        with Held(self._condition) as take:
            take()
            self._refuse_if_done()
            self._exception, self._state = exception, FINISHED
            for waiter in self._waiters:
                waiter.add_exception(self)
            self._condition.notify_all()
        self._invoke_callbacks()  # type: ignore[attr-defined]

    def _refuse_if_done(self) -> None:
        if self._state in _DONE:
            raise InvalidStateError(f"{self._state}: {self!r}")
