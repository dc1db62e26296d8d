"""The pool of an executor that a module makes at its top level, where it is imported for a call."""

import threading
from collections.abc import Callable

from ..._core import Held
from .call import Call
from .pool import Pool


class LatePool:
    """Made with its first call: most such processes run one of the module's functions, and make none.

    Else each call of these would start a template, which takes longer than the call; and a template that
    loads the module for the executor would start another, without end.
    """

    def __init__(self, make: Callable[[], Pool]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._pool: Pool | None = None
        self._is_closed = False

    def submit(self, call: Call) -> None:
        """Begin the call now or later. Raises as the making of an executor does."""
        with Held(self._lock) as take:
            take()
            if self._is_closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._pool is None:
                self._pool = self._make()
        self._pool.submit(call)

    def close(self, *, cancels: bool) -> None:
        """Take no more calls. cancels: those that do not run yet."""
        with Held(self._lock) as take:  # or a first call of another thread makes one that stays
            take()
            self._is_closed = True
        if self._pool is not None:
            self._pool.close(cancels=cancels)

    def join(self) -> None:
        """Wait until all calls are done."""
        if self._pool is not None:
            self._pool.join()

    def signal(self, number: int) -> None:
        """Send it to each process that runs a call."""
        if self._pool is not None:
            self._pool.signal(number)
