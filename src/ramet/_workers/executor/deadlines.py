"""When the calls of a pool must have ended: the first of these times, however many calls there are."""

import heapq
from typing import TYPE_CHECKING
from weakref import ref

if TYPE_CHECKING:
    from .call import Call

_FEW = 64


class Deadlines:
    """The deadlines of calls that run. It keeps no call that is over, nor its arguments and result.

    Not for several threads at once; add() may be interrupted by a signal handler that adds another.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, ref[Call]]] = []
        self._most = _FEW  # before it is looked which are over

    def add(self, deadline: float, call: "Call") -> bool:
        """deadline: in seconds of time.monotonic(). Returns whether it is the first."""
        if len(self._heap) >= self._most:
            known, self._heap = self._heap, []
            for one in known:
                if _running(one[2]) is not None:
                    heapq.heappush(self._heap, one)
            self._most = 2 * len(self._heap) + _FEW
        entry = deadline, call.number, ref(call)
        heapq.heappush(self._heap, entry)
        return self._heap[0] is entry

    @property
    def first(self) -> float | None:
        """The first of a call that still runs."""
        while self._heap and _running(self._heap[0][2]) is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_expired(self, now: float) -> "Call | None":
        """A call that should have ended, if there is one; it is forgotten here."""
        first = self.first
        return None if first is None or first > now else _running(heapq.heappop(self._heap)[2])


def _running(reference: "ref[Call]") -> "Call | None":
    call = reference()
    return None if call is None or call.is_done else call
