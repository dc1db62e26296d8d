"""How many calls of an executor are where, and who is told of it."""

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .call import Call

_log = logging.getLogger("ramet.executor")


class Counts(NamedTuple):
    """How many calls of an executor are where: those that are done include failed and cancelled ones."""

    submitted: int
    pending: int
    running: int
    done: int
    failed: int


class Tally:
    """The calls that wait, and the numbers of all: the pool changes them while it holds its lock.

    progress: is told of the numbers.
    """

    def __init__(self, progress: Callable[[Counts], object] | None) -> None:
        self.progress = progress
        self.pending: deque[Call] = deque()
        self.submitted = 0
        self.active = 0  # calls that have left the pending ones, and are not done
        self.done = 0
        self.failed = 0

    def end(self, call: "Call", *, failed: bool) -> None:
        """It is done. Once: a signal handler may raise after it."""
        if call.is_counted:
            return
        call.is_counted = True
        self.active -= 1
        self.done += 1
        self.failed += failed

    def counts(self) -> Counts:
        """The numbers now."""
        return Counts(self.submitted, len(self.pending), self.active, self.done, self.failed)

    def tell(self, counts: Counts, is_interrupt: Callable[[BaseException], bool]) -> None:
        """Tell of them. is_interrupt: whether what that raises ends what the calling thread does."""
        progress = self.progress  # another thread may forget it
        if progress is None:
            return
        try:
            progress(counts)
        except BaseException as error:
            if is_interrupt(error):
                raise
            self.progress = None  # first: another thread may tell while this one logs
            _log.exception("exception calling progress=%r; it is not called again", progress)
