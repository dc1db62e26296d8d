"""A limit on the memory of a call where no cgroup can be made: looking at what is resident."""

import contextlib
import errno
import os
import resource
import time

from .._kernel import procfs
from .._kernel.process_memory import NOTHING_COUNTED, Counted, ResidentSize, data_bytes
from .tree_memory import OwnMemory, TreeMemory, counted_if_any, mapped_if_any

SECONDS_BETWEEN_LOOKS = 0.01  # for who has a watch; docs/explanation/memory_of_calls.md tells of it
_SHARE_OF_TIME = 0.01  # that close looks may take
_LONGEST_PAUSE_SECONDS = 5.0
_SECONDS_TO_BEGIN = 5.0  # for an exec that is under way; one thing is left for it to do
RESERVED_BYTES = 40 << 20  # by OpenBLAS for each thread: 32 MiB, and a stack
_SECONDS_FOR_A_BYTE = 15e-12  # that a close look takes, roughly


class ResidentWatch:
    """Tells how much more memory a call has than when it began.

    Each look reads the resident set of its process, which takes a microsecond. A close look counts
    besides what its descendants have, and which of the template's pages it has copied by writing to them;
    that walks page tables, so it is done when the first look exceeds the budget, and as often as takes a
    hundredth of the time. Pages of files on disk do not count, as the kernel can drop them. What is in a
    tmpfs and mapped by no process of the call, and what the kernel holds for its sockets and pipes, does
    not count either, though it should: only a cgroup sees it.
    """

    def __init__(
        self,
        pid: int,
        budget_bytes: int,
        template: int | None = None,
        *,
        is_new: bool = True,
        from_zero: bool = False,
        root: int | None = None,
    ) -> None:
        """pid: of a child that is not reaped while this is used. template: what it was cloned from.

        from_zero: all that it has counts, as of a program that begins. Its memory is the caller's until
        then, and a caller that waits by CLONE_VFORK goes on a moment before (exec_mmap() in fs/exec.c).
        root: the pid of the process below which all others are that count; None: the child.

        While the template lives, a page that the child alone maps is one that it has written to. is_new: it
        has run no call before, so that all such pages may count, and pages of a tmpfs that it has mapped.
        ProcessLookupError when there is no such child.
        """
        self.budget_bytes = budget_bytes
        try:
            # In the /proc of another pid namespace a stranger has the child's pid.
            self.number = number = procfs.number_by_pid(pid)
            root = number if root is None else procfs.number_by_pid(root)
            self._resident = ResidentSize(number)
        except FileNotFoundError:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from None
        self._template: ResidentSize | None = None
        self._template_number: int | None = None
        try:
            if template is not None:
                with contextlib.suppress(OSError):
                    self._template_number = procfs.number_by_pid(template)
                    self._template = ResidentSize(self._template_number)
            self._base = 0 if from_zero else self._resident.bytes()
            self._base_counted = NOTHING_COUNTED if from_zero else counted_if_any(number)
            self._base_written = 0
            if is_new:
                self._base_counted = self._base_counted._replace(in_tmpfs=0)
            else:  # some of what it has is its own
                self._base_written = _written(number)
                self._template_number = None
            self._tree = TreeMemory(number, root, self._base_counted)
        except BaseException:
            self.close()
            raise
        self._others = self._copied = self._of_files = self._tables = 0
        self._begins_by = time.monotonic() + _SECONDS_TO_BEGIN if from_zero else 0.0
        pause = self._base * _SECONDS_FOR_A_BYTE / _SHARE_OF_TIME
        self._next_close_look = time.monotonic() + pause

    def excess(self) -> int:
        """The bytes that the call has beyond what was resident at its start; 0 when it has ended."""
        if self._is_to_begin():
            return 0
        seen = self._seen()
        if seen > self.budget_bytes or time.monotonic() >= self._next_close_look:
            self._look_closely()
            seen = self._seen()
        return max(0, seen)

    def exceeds(self) -> bool:
        """Whether that is more than its budget."""
        return self.excess() > self.budget_bytes

    def close(self) -> None:
        """Close the descriptors; a second time does nothing."""
        self._resident.close()
        if self._template is not None:
            self._template.close()

    def _is_to_begin(self) -> bool:
        if time.monotonic() < self._begins_by and self._resident.may_be_ours():
            return True
        self._begins_by = 0.0
        return False

    def _seen(self) -> int:
        resident, most_tables = self._resident.bytes_and_tables()
        seen = self._own(resident) + self._others
        if seen + most_tables > self.budget_bytes:  # much is mapped, touched or not
            self._tables = self._counted_beyond().tables
        return seen + max(0, self._tables)

    def _own(self, resident: int) -> int:
        return max(resident - self._base - self._of_files, self._copied)

    def _counted_beyond(self) -> Counted:
        now = counted_if_any(self.number)
        return Counted(*(one - before for one, before in zip(now, self._base_counted, strict=True)))

    def _look_closely(self) -> None:
        # Of the processor's time: beside the caller's other threads it waits longer than it works.
        began = time.thread_time()
        resident, beyond = self._resident.bytes(), self._counted_beyond()
        self._of_files = max(0, resident - self._base - beyond.unbacked)
        self._tables = beyond.tables
        template = self._template_number if self._template and self._template.bytes() else None
        self._copied = self._count_copied()
        room = self.budget_bytes - self._own(resident) - max(0, self._tables)
        own = OwnMemory(max(0, beyond.in_tmpfs), self._copied)
        self._others = self._tree.bytes_beside(own, room, template)
        pause = min((time.thread_time() - began) / _SHARE_OF_TIME, _LONGEST_PAUSE_SECONDS)
        self._next_close_look = time.monotonic() + pause

    def _count_copied(self) -> int:
        """When the template leaves its memory, pages that the child has not copied become its own."""
        if self._template is None:
            return 0
        written = _written(self.number) - self._base_written
        return written if self._template.bytes() else 0


def limit_data(budget_bytes: int, pid: int = 0) -> tuple[int, int]:
    """Have a process get a MemoryError far beyond the budget on top of what it has now.

    How far: what a library of numbers reserves for its threads, one for each processor, and does not
    touch. Such a library hangs or exits when it cannot have that, so the watch must do for the first of
    it. It sets the soft limit of RLIMIT_DATA, which counts private memory that can be written, touched or
    not; a lower one stays. Each process that it starts is limited by itself. Returns the limits from
    before, for ``resource.setrlimit(resource.RLIMIT_DATA, ...)``.

    pid: of a child that is not reaped; 0: the calling process. PermissionError for another user's.
    Source: getrlimit(2), prlimit(2).
    """
    before = resource.prlimit(pid, resource.RLIMIT_DATA)
    soft, hard = before
    now = data_bytes(procfs.number_by_pid(pid) if pid else "self")
    wanted = now + budget_bytes + len(os.sched_getaffinity(pid)) * RESERVED_BYTES
    limits = [wanted, *(one for one in (soft, hard) if one != resource.RLIM_INFINITY)]
    resource.prlimit(pid, resource.RLIMIT_DATA, (min(limits), hard))
    return before


def _written(number: int) -> int:
    look = mapped_if_any(number)
    return 0 if look is None else look.written
