"""Which tasks use the same kernel object: by the order that kcmp(2) gives, not by comparing each two."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .. import lowlevel
from .._kernel import kcmp
from .._kernel.clone_bits import VFORK, VM
from .._kernel.names import WALL


class Users:
    """The users of objects of one kind, in groups, sorted by the object.

    A task that changes an object while others are compared makes the answer one of no single moment, and no
    error. One that ends meanwhile is passed over.
    """

    def __init__(self, kind: int) -> None:
        self._kind = kind
        self._groups: list[list[int]] = []
        self._group_of: dict[int, list[int]] = {}

    def add(self, task: int, likely: int | None = None) -> None:
        """Add a task. likely: one that was added, and may well use the same object.

        Raises OSError when the task may not be compared, or has ended.
        """
        group = self._group_of.get(likely or 0)
        if not group or self._order(task, group) != 0:
            group = self._found(task)
        group.append(task)
        self._group_of[task] = group

    def group(self, task: int) -> list[int]:
        """Those that use the same object, in the order in which they were added; empty when unknown."""
        return self._group_of.get(task, [])

    def look_again_for(self, task: int) -> None:
        """Find the group of a task that has given up its object since it was added, and was alone with it.

        Its place among the sorted groups is wrong by now: all are asked.
        """
        alone = self.group(task)
        for group in self._groups:
            if alone == [task] and group is not alone and self._order(task, group) == 0:
                alone.extend(group)
                self._group_of.update(dict.fromkeys(group, alone))
                self._groups.remove(group)
                return

    def _found(self, task: int) -> list[int]:
        if not self._groups:
            kcmp.order(task, task, self._kind)  # raises when it may not be compared
        low, high = 0, len(self._groups)
        while low < high:
            middle = (low + high) // 2
            order = self._order(task, self._groups[middle])
            if order == 0:
                return self._groups[middle]
            if order is None:
                del self._groups[middle]
                high -= 1
            elif order == kcmp.FIRST_IS_LESS:
                high = middle
            else:
                low = middle + 1
        self._groups.insert(low, [])
        return self._groups[low]

    def _order(self, task: int, group: list[int]) -> int | None:
        """How the object of the task compares with that of the group; None when nobody is left there."""
        for other in group:
            try:
                return kcmp.order(task, other, self._kind)
            except OSError:
                kcmp.order(task, task, self._kind)  # raises when the fault is the task's
        return None


@contextmanager
def task_without_objects() -> Iterator[int | None]:
    """A task that has ended, and is not reaped before the end of the block; None where none can be made.

    It has no memory, descriptors, I/O context or semaphore undo list. To be equal to it in that means
    to have none. Nobody is told of its end, and a wait for all children does not return it.
    """
    try:
        pid = lowlevel.clone(_nothing, flags=VM | VFORK)
    except (OSError, RuntimeError):
        pid = None
    try:
        if pid is not None:
            # Its memory goes first, for which VFORK waits, the others before it can be reaped.
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | WALL)
        yield pid
    finally:
        if pid is not None:
            os.waitpid(pid, WALL)


def _nothing(_: object) -> int:
    return 0
