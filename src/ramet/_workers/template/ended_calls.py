"""Children of a template's calls whose outcome is there: they end by themselves, and are reaped later.

To reap some at once is cheaper, and who waits for an outcome is not kept by the end of the process.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..._process.unreaped import reap_ended, unreaped
from .called_child import CalledChild

_REAPED_AT_ONCE = 5
# The last ones may wait to be let go: their end would take the processor from a call that begins.
_NOT_YET_REAPED = 4


class EndedCalls:
    """Those of one template. ``ending``: to which the core adds as well."""

    def __init__(self) -> None:
        self.ending: list[CalledChild[Any]] = []
        self._left: list[CalledChild[Any]] = []  # reaped, with a namespace that may not have ended
        self._enough = _REAPED_AT_ONCE

    @property
    def are_enough(self) -> bool:
        """Whether there are so many that it is time to look which have ended."""
        return len(self.ending) >= self._enough

    def reap(self) -> None:
        """Reap those that have ended by now."""
        if unreaped:  # inits that were killed the last time are dead by now
            reap_ended()
        if self._left:
            self._end_left()
        self.reap_first(len(self.ending))
        self._enough = len(self.ending) + _REAPED_AT_ONCE

    def reap_first(self, count: int) -> None:
        """So many of them at most, if they have ended."""
        for _ in range(min(count, len(self.ending) - _NOT_YET_REAPED)):
            try:
                child = self.ending.pop(0)
            except IndexError:
                return  # another thread has it
            stays = True  # also where a signal handler raises
            try:
                stays = not child._reap_if_ended()
            finally:
                if stays:
                    self.ending.append(child)
                elif child._has_namespace:
                    self._left.append(child)

    def end_all(self) -> None:
        """No call comes any more that would reap them."""
        _end_all(self.ending, CalledChild._end_in_time)
        self._end_left()

    def _end_left(self) -> None:
        """Namespaces that were left before have ended by now, or something in them keeps them."""
        _end_all(self._left, CalledChild._finish_namespace)


def _end_all(children: list[CalledChild[Any]], end: Callable[[CalledChild[Any]], object]) -> None:
    """Take out each, and end it; one at which a signal handler raises is put back."""
    with suppress(IndexError):  # another thread, or such a handler, has it
        while children:
            child = children.pop()
            try:
                end(child)
            except BaseException:
                children.append(child)
                raise
