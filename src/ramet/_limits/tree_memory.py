"""What the descendants of a call have besides what counts for its first process."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from .._kernel import procfs
from .._kernel.process_memory import (
    NOTHING_COUNTED,
    Counted,
    Mapped,
    counted,
    mapped,
    may_be_mapped,
    share_memory,
    task_with_memory,
)

_READINGS = 3  # of a tree in which processes end meanwhile


class OwnMemory(NamedTuple):
    """What counts for the first process, but for new anonymous pages: bytes in a tmpfs, and copies."""

    in_tmpfs: int
    copied: int


class TreeMemory:
    """A call's first process and what it has started, by their numbers in /proc.

    Of a descendant counts what it has of its own, or its part of what it shares with others of the call,
    whichever is more for all of them. One that has made itself not dumpable tells no parts: all of its
    pages count that are in no file on disk. base: what the first process had when the call began.
    """

    def __init__(self, number: int, root: int, base: Counted) -> None:
        self.number = number
        self._root = root
        self._base = base
        # Where this process lacks the right, a descendant that cannot be looked at has done nothing.
        self._may_be_mapped = may_be_mapped(number)

    def bytes_beside(self, own: OwnMemory, room: int, template: int | None) -> int:
        """What the others have besides the first one's own. room: what they may have.

        The part of the pages that a living template has does not count. What ends between the looks at two
        others leaves its part of what they share to the second one, so that it counts twice: what exceeds
        the room must do so each time.
        """
        others = self._others()
        found = self._read(others, own, room, template)
        for _ in range(_READINGS - 1):
            if found <= room:
                break
            others = self._others()
            apart = {pid for pid in others if not self._has_memory_of_parent(pid, others)}
            found = min(found, self._read(apart, own, room, template))
        return found

    def _others(self) -> set[int]:
        return {*descendants(self._root), *descendants(self.number)} - {self.number}

    def _read(self, others: set[int], own: OwnMemory, room: int, template: int | None) -> int:
        if not others:
            return 0
        first = mapped_if_any(self.number)
        looks = {pid: mapped_if_any(pid) for pid in others}
        seen = [look for look in looks.values() if look is not None]
        hidden = [pid for pid, look in looks.items() if look is None]
        besides = self._tables(others) + self._hidden(hidden)
        alone = sum(look.written for look in seen) + besides
        if first is None or alone > room:
            return alone
        # What the first one has counts elsewhere, as it grows: here is what others have beyond that.
        parts = first.part + own.in_tmpfs + sum(max(look.part, look.written) for look in seen)
        its = max(first.anonymous - self._base.anonymous + own.in_tmpfs, own.copied)
        together = parts + besides - its
        return max(alone, together - self._of_template(template)) if together > room else alone

    def _tables(self, pids: Iterable[int]) -> int:
        return sum(max(0, counted_if_any(pid).tables - self._base.tables) for pid in pids)

    def _hidden(self, pids: Iterable[int]) -> int:
        return sum(counted_if_any(pid).unbacked for pid in pids) if self._may_be_mapped else 0

    def _of_template(self, template: int | None) -> int:
        """How much of all parts may be of pages that the first process began with.

        No more than others have of those that the template has still.
        """
        its = None if template is None else mapped_if_any(template)
        most = self._base.anonymous
        return most if its is None else min(most, its.anonymous - its.part)

    def _has_memory_of_parent(self, pid: int, others: Collection[int]) -> bool:
        """So has one that vfork() has made, until its exec."""
        parent = procfs.parent(pid)
        if parent is None or (parent != self.number and parent not in others):
            return False
        return share_memory(task_with_memory(pid), task_with_memory(parent))


def counted_if_any(pid: int) -> Counted:
    """All 0 where it has ended."""
    try:
        return counted(task_with_memory(pid))
    except OSError:
        return NOTHING_COUNTED


def mapped_if_any(pid: int) -> Mapped | None:
    """None where it may not be looked at, or has ended."""
    try:
        return mapped(task_with_memory(pid))
    except OSError:
        return None


def descendants(pid: int) -> list[int]:
    """What a process has started, as far as each one's parent lives; all by their numbers in /proc."""
    found = procfs.children(pid)
    for child in found:
        found.extend(procfs.children(child))
    return found
