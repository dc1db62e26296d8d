"""Budgets of memory: what one call may have resident beyond the template that it comes from."""

import contextlib
import os
from collections import deque
from pathlib import Path
from typing import Self

from .._kernel.cgroups import CgroupPlace
from .._kernel.oom_kills import OomKills
from . import cgroup_names, memory_files
from .memory_place import find_place
from .resident_watch import ResidentWatch

_PURPOSE = "call"
_LITTLE_BYTES = 1 << 20  # the kernel charges some in advance, for each processor
_SMALL_PART = 64
_LINKS_OF_EMPTY = 2  # of a directory without others in it


class MemoryBudget:
    """What one call may use: this one has no cgroup, so a watch on the resident set must limit it.

    ``entry``: a descriptor into which a new process writes ``b"0"``, and is limited then; None: there is
    none. ``directory``: the descriptor that the clone call takes with INTO_CGROUP instead, None in
    version 1. In version 2 the write may take 15 ms, and the clone call takes no longer than without.
    Both belong to the budget, and are O_CLOEXEC.
    """

    entry: int | None = None
    directory: int | None = None

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes

    @property
    def peak(self) -> int | None:
        """The most bytes that were charged to it since it was taken; None where that is not counted."""
        return None

    def has_killed(self) -> bool:
        """Whether the kernel has killed a process of the call for want of memory, be it a grandchild."""
        return False

    def kill(self) -> bool:
        """Kill all processes in it at once. Returns whether that was possible: cgroup v2, Linux 5.14."""
        return False

    def watch(
        self,
        pid: int,
        template: int | None = None,
        *,
        is_new: bool = True,
        root: int | None = None,
    ) -> ResidentWatch | None:
        """A watch for the call in that process; None where the kernel keeps the limit.

        To be made before the call begins. The parameters are those of ResidentWatch.
        """
        return ResidentWatch(pid, self.budget_bytes, template, is_new=is_new, root=root)


class CgroupBudget(MemoryBudget):
    """A cgroup for one call at a time. It is removed when it is dropped without having been given back."""

    _maker = 0  # the class attribute is seen by __del__ when __init__ did not run to its end

    def __init__(self, budget_bytes: int, place: CgroupPlace) -> None:
        super().__init__(budget_bytes)
        self._version = place.version
        self.path = Path(place.path, cgroup_names.new(_PURPOSE))
        self._names = memory_files.NAMES[place.version]
        self._files: list[int] = []
        self._peak_file = -1
        self._counts_peak = False
        self._kills: OomKills | None = None
        self.path.mkdir()
        self._maker = os.getpid()
        try:
            self._open()
            memory_files.set_limit(self._folder, self._version, budget_bytes)
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._folder = self._opened(str(self.path), os.O_RDONLY | os.O_DIRECTORY)
        self.entry = self._opened(self._names.entry, os.O_RDWR)
        if self._version == memory_files.VERSION_2:
            self.directory = self._folder
        with contextlib.suppress(OSError):  # version 2 before 5.19
            self._peak_file = self._opened(self._names.peak, os.O_RDWR)

    def _opened(self, name: str, flags: int) -> int:
        folder = self._files[0] if self._files else None
        self._files.append(os.open(name, flags | os.O_CLOEXEC, dir_fd=folder))
        return self._files[-1]

    def is_there(self) -> bool:
        """Whether its directory is: who else may write to the place can remove it while it is idle."""
        return memory_files.is_there(self._folder)

    def begin(self) -> None:
        """Count from here: the kills and the peak of the next call."""
        self._kills = OomKills.before_clone(self._folder)
        self._counts_peak = self._reset_peak()

    def _reset_peak(self) -> bool:
        if self._peak_file < 0:
            return False
        try:
            # Version 2 since 6.12, and only for this descriptor.
            os.write(self._peak_file, b"0" if self._version == 1 else b"reset")
        except OSError:
            return False
        return True

    @property
    def peak(self) -> int | None:
        if not self._counts_peak:
            return None
        try:
            return int(os.pread(self._peak_file, 64, 0))
        except OSError:  # somebody else has removed it
            return None

    def has_killed(self) -> bool:
        return self._kills is not None and self._kills.has_increased()

    def kill(self) -> bool:
        try:
            memory_files.write(self._folder, "cgroup.kill", 1)
        except OSError:
            return False
        return True

    def watch(self, *_: object, **__: object) -> None:
        return None

    def empty(self) -> bool:
        """Free what the last call has left. Returns whether the next one has all of the budget.

        What is in a tmpfs stays charged after the death of who wrote it, and so does memory of the kernel.
        """
        try:
            if self.entry is None or self._has_processes() or self._has_others_below():
                return False
            if self._is_charged():
                memory_files.reclaim(self._folder, self._version)
            return not self._is_charged()
        except OSError:
            return False

    def _has_processes(self) -> bool:
        """Not by ``entry``: of a file that stays open version 1 tells for a second what it told before."""
        return bool(memory_files.read(self._folder, self._names.entry))

    def _has_others_below(self) -> bool:
        """Whether the call has made cgroups in it, after which version 2 lets no process in."""
        if os.fstat(self._folder).st_nlink > _LINKS_OF_EMPTY:
            return True
        if self._version == memory_files.VERSION_1:
            return False
        return bool(memory_files.read(self._folder, "cgroup.subtree_control"))

    def _is_charged(self) -> bool:
        allowed = max(_LITTLE_BYTES, self.budget_bytes // _SMALL_PART)
        return memory_files.usage(self._folder, self._version) > allowed

    def close(self) -> None:
        """Close the descriptors and remove the directory; later, where a process is still in it."""
        self.entry = self.directory = None
        while self._files:
            os.close(self._files.pop())
        cgroup_names.remove_or_keep(self.path)

    def __del__(self) -> None:
        if self._maker == os.getpid() and self._files:  # in this order: see _maker
            self.close()


class MemoryLimits:
    """Budgets of one size, made ahead and used again: for the calls of one template or executor.

    It looks for a cgroup of this process's own below which it can make others (version 1 or 2), unless
    ``by_cgroup`` is false. Where there is none each budget is one for a watch. To be made before the
    template starts: in version 2 this process may have to leave its cgroup first, which no other may be in
    then. It removes the cgroups that a killed process has left in the same place. Threads may use it at
    once. A process that was copied from this one leaves the cgroups to it.
    """

    def __init__(self, budget_bytes: int, *, by_cgroup: bool = True) -> None:
        self.budget_bytes = budget_bytes
        self._maker = os.getpid()
        self._idle: deque[CgroupBudget] = deque()
        self._is_closed = False
        self._place = find_place() if by_cgroup else None
        if self._place is not None:
            cgroup_names.remove_left(self._place.path)
            self.prepare(1)
        if not self._idle:
            self._place = None

    @property
    def version(self) -> int | None:
        """Of the cgroups; None: a watch keeps the limits."""
        return None if self._place is None else self._place.version

    def prepare(self, count: int) -> None:
        """Make budgets ahead until so many are idle."""
        while self._place is not None and len(self._idle) < count:
            budget = self._make()
            if budget is None:
                return
            self._idle.append(budget)

    def take(self) -> MemoryBudget:
        """A budget for one call, which the caller gives back; in a copy of the process, for a watch."""
        if self._maker != os.getpid():
            return MemoryBudget(self.budget_bytes)  # the idle ones are the original's
        budget = self._idle_one() or self._make()
        if budget is None:
            return MemoryBudget(self.budget_bytes)
        budget.begin()
        return budget

    def _idle_one(self) -> CgroupBudget | None:
        with contextlib.suppress(IndexError):
            while True:
                budget = self._idle.popleft()
                if budget.is_there():
                    return budget
                budget.close()
        return None

    def give_back(self, budget: MemoryBudget) -> None:
        """The call is over, and its process is reaped: the next one may have it.

        One that is not empty is removed, later where a process that the call has left is still in it.
        """
        if not isinstance(budget, CgroupBudget) or self._maker != os.getpid():
            return
        if not self._is_closed and budget.empty():
            self._idle.append(budget)
        else:
            budget.close()

    def close(self) -> None:
        """Remove all that were given back, and others when they are.

        One in which a process still is stays, and the next process that makes budgets there removes it.
        """
        if self._maker != os.getpid():
            return
        self._is_closed = True
        cgroup_names.remove_kept()
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.popleft().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self) -> CgroupBudget | None:
        cgroup_names.remove_kept()
        if self._place is None or self._maker != os.getpid():
            return None
        try:
            return CgroupBudget(self.budget_bytes, self._place)
        except OSError:
            return None
