"""The memory that a call may have: its budget, and a look at it where no cgroup limits it."""

import threading
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..._core import Held
from ..._kernel.signal_handlers import is_from_handler
from ..._limits.byte_counts import parsed_memory
from ..._limits.resident_watch import limit_data
from ..._process.watch_thread import watch_thread
from .watching import kill_tree, watch_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._limits.memory import MemoryBudget, MemoryLimits
    from ..._limits.resident_watch import ResidentWatch
    from .called_child import CalledChild

_MOST_SIZES = 8


class CallMemory:
    """The budget of one call.

    limits_itself: its process sets RLIMIT_DATA, which its caller may not where it has other rights.
    """

    def __init__(self, limits: "MemoryLimits", *, limits_itself: bool = False) -> None:
        self.limits_itself = limits_itself
        self._limits = limits
        self._budget: MemoryBudget = limits.take()
        self._watch: ResidentWatch | None = None
        self._has_exceeded = False
        # What the call has that is in no process of its.
        self.bytes_beside: Callable[[], int] = _nothing

    @property
    def entry(self) -> int | None:
        """Where the child writes itself into its cgroup; None: it is watched."""
        return self._budget.entry

    @property
    def bytes(self) -> int:
        """How many it may have beyond the template."""
        return self._budget.budget_bytes

    def measure(self, pid: int, template: int, init: int) -> None:
        """The call is about to begin in that process, a clone of the template's.

        init: of its pid namespace, 0 for none: what its children leave behind is the init's.
        """
        self._close_watch()
        with suppress(ProcessLookupError):  # it has ended
            self._watch = self._budget.watch(pid, template, root=init or None)
        if self._watch is None:
            return
        if not self.limits_itself:
            self._limit_data(pid)
        watch_thread.have_thread()  # while the call can still begin later

    def _limit_data(self, pid: int) -> None:
        try:
            limit_data(self.bytes, pid)
        except OSError as error:  # it has ended, or a filter hides prlimit(2): the watch is there
            if is_from_handler(error):
                raise

    def begin(self, child: "CalledChild[Any]") -> None:
        """The call has begun in that child."""
        if self._watch is not None:
            watch_call(self, child)

    def look(self, child: "CalledChild[Any]") -> bool:
        """Kill the call if it has too much. Returns whether it need not be looked at any more."""
        watch = self._watch
        if watch is None:
            return True
        if watch.excess() + self.bytes_beside() > self.bytes:
            self._has_exceeded = True
            kill_tree(child)
            return True
        return False

    def kill(self) -> bool:
        """Kill all that is in its cgroup. Returns whether that was possible."""
        return self._budget.kill()

    def was_exceeded(self) -> bool:
        """Whether the child, or a process of its, was killed for want of memory."""
        return self._has_exceeded or self._budget.has_killed()

    def end(self) -> None:
        """All processes of the call are reaped."""
        self._close_watch()
        self._limits.give_back(self._budget)

    def _close_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()


def _nothing() -> int:
    return 0


class CallMemories:
    """The budgets of one template: of each size that is asked for, made ahead and used again.

    by_cgroup: whether a call may enter one for it: not where it is in one of its sandbox's.
    """

    def __init__(self, *, by_cgroup: bool) -> None:
        self._by_cgroup = by_cgroup
        self._of_size: OrderedDict[int, MemoryLimits] = OrderedDict()
        self._lock = threading.RLock()  # a signal handler may begin a call as well

    def take(self, memory: int | str, *, limits_itself: bool = False) -> CallMemory:
        """A budget of so many bytes, as for CallMemory. TypeError, ValueError: see parsed_memory()."""
        from ..._limits.memory import MemoryLimits

        size = parsed_memory("memory", memory)
        with Held(self._lock) as take:
            take()
            limits = self._of_size.pop(size, None)
            if limits is None:
                limits = MemoryLimits(size, by_cgroup=self._by_cgroup)
            self._of_size[size] = limits
            self._keep(_MOST_SIZES)
        return CallMemory(limits, limits_itself=limits_itself)

    def close(self) -> None:
        """Remove the cgroups."""
        with Held(self._lock) as take:
            take()
            with suppress(KeyError):  # a signal handler has closed all
                self._keep(0)

    def _keep(self, most: int) -> None:
        while len(self._of_size) > most:
            self._of_size.popitem(last=False)[1].close()
