"""The memory of a process as /proc tells it, in bytes."""

import os
import resource
import threading
from collections.abc import Iterable
from typing import NamedTuple

from .. import _core
from . import procfs

PAGE_BYTES = resource.getpagesize()

# /proc/PID/smaps_rollup: what is mapped by this process alone
_PRIVATE = (b"Private_Clean:", b"Private_Dirty:", b"Private_Hugetlb:")
_PRIVATE_DIRTY = (b"Private_Dirty:", b"Private_Hugetlb:")
_KCMP_VM = 1  # include/uapi/linux/kcmp.h
_ENTRY_BYTES = 8  # of a page table, for each page


def private_bytes(pid: int | str = "self") -> int:
    """What the end of a process would give back: its pages that no other process maps, and its page tables.

    A copied child shares with its parent all pages that neither has written to since; this is what it has
    of its own. Reading it walks the page tables: about 0.1 ms, and some ms for each GB that is mapped.
    ProcessLookupError when it has ended, PermissionError for another user's.
    Needs: Linux 4.14.
    Source: proc_pid_smaps(5).
    """
    return _rollup(pid, _PRIVATE) + page_table_bytes(pid)


def page_table_bytes(pid: int | str = "self") -> int:
    """The page tables of a process: its own, and in no counter of its pages; 0 when it has ended.

    Source: proc_pid_status(5) VmPTE.
    """
    return _kilobytes(procfs.status(pid).get("VmPTE", "0 kB"))


def proportional_bytes(pid: int) -> int:
    """The proportional set size: what it alone maps, and its part of each page that others map, too.

    Source: proc_pid_smaps(5) Pss. The sum over the mappings is less, since each of them is rounded down.
    """
    return _rollup(pid, (b"Pss:",))


class Counted(NamedTuple):
    """What the kernel counts of a process, in bytes, for everyone to read."""

    anonymous: int
    in_tmpfs: int
    """Mapped pages of a tmpfs and shared memory."""
    tables: int
    """Its page tables."""

    @property
    def unbacked(self) -> int:
        """What is resident and in no file on disk; pages that it shares with its parent are counted."""
        return self.anonymous + self.in_tmpfs


class Mapped(NamedTuple):
    """What a walk through the page tables of a process counts, in bytes."""

    written: int
    """The pages that it alone maps and has written to: those that it has copied, and new ones."""
    anonymous: int
    part: int
    """Of the anonymous pages: what it alone maps, and its part of those that others map, too."""


NOTHING_COUNTED = Counted(0, 0, 0)


def counted(task: int | str) -> Counted:
    """OSError when it has ended. Source: proc_pid_status(5) RssAnon, RssShmem, VmPTE."""
    fields = _kilobytes_of(f"/proc/{task}/status", (b"RssAnon:", b"RssShmem:", b"VmPTE:"))
    return Counted(*fields)


def mapped(task: int | str) -> Mapped:
    """PermissionError for another user's process, and for one that has made itself not dumpable.

    Needs: Linux 5.4 for the part; 0 before. Source: proc_pid_smaps(5), prctl(2) PR_SET_DUMPABLE.
    """
    names = (*_PRIVATE_DIRTY, b"Anonymous:", b"Pss_Anon:")
    dirty, huge, anonymous, part = _kilobytes_of(f"/proc/{task}/smaps_rollup", names)
    return Mapped(dirty + huge, anonymous, part)


def may_be_mapped(task: int | str) -> bool:
    """Whether mapped() may be asked for it."""
    try:
        os.close(os.open(f"/proc/{task}/smaps_rollup", os.O_RDONLY | os.O_CLOEXEC))
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def task_with_memory(pid: int) -> int | str:
    """Below /proc, a task of a process that has its memory: its first thread, or one that outlived that.

    A first thread that has ended alone is a zombie until the others have, and its files tell of no memory.
    Source: _exit(2), C library/kernel differences.
    """
    if any(_statm_of(pid)):
        return pid
    others = (f"{pid}/task/{thread}" for thread in procfs.threads(pid))
    return next((task for task in others if any(_statm_of(task))), pid)


def share_memory(task: int | str, other: int | str) -> bool:
    """Whether two tasks below /proc have one memory, as after vfork(). False where that may not be asked.

    Source: kcmp(2).
    """
    one, another = (int(os.path.basename(str(name))) for name in (task, other))
    try:
        return procfs.shows_own_pids() and _core.kcmp(one, another, _KCMP_VM, 0, 0) == 0
    except OSError:
        return False


def data_bytes(task: int | str = "self") -> int:
    """What RLIMIT_DATA counts of a process, and its stack. Source: proc_pid_statm(5)."""
    with open(f"/proc/{task}/statm", "rb", buffering=0) as file:
        return int(file.read().split()[5]) * PAGE_BYTES


class ResidentSize:
    """The resident set of a process, read from one open descriptor in about a microsecond.

    A thread may close it while another one reads: that one has 0 from then on. It is closed at the latest
    with this object, whose owner may be a handle that was dropped.
    """

    _maker = 0  # the class attribute is seen by __del__ when __init__ has raised

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._lock = threading.RLock()  # while it is read the number becomes no other file's
        self._file = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._maker = os.getpid()

    def __del__(self) -> None:
        if self._maker == os.getpid() and self._file >= 0:
            os.close(self._file)

    def bytes(self) -> int:
        """The resident pages, shared ones included; 0 when the process has left its memory."""
        return self._statm().resident * PAGE_BYTES

    def bytes_and_tables(self) -> tuple[int, int]:
        """The same, and the page tables that it has at most, if what it maps lies together."""
        statm = self._statm()
        return statm.resident * PAGE_BYTES, statm.size * _ENTRY_BYTES

    def may_be_ours(self) -> bool:
        """Whether as much is mapped as here, about, and by a program of the same length.

        So it is with a child that has this process's memory, and no program of its own yet.
        """
        try:
            with open("/proc/self/statm", "rb", buffering=0) as file:
                size, _, _, length, *_ = map(int, file.read().split())
        except OSError:  # without a descriptor it is not known, and what is resident counts
            return False
        its = self._statm()
        return its.length == length and abs(its.size - size) < size // 8

    def _statm(self) -> "_Statm":
        """That of another thread where the first one has ended alone. All 0 when it was reaped."""
        try:
            with _core.Held(self._lock) as take:
                take()
                statm = _parsed(os.pread(self._file, 128, 0))
            return statm if any(statm) else _statm_of(task_with_memory(self._pid))
        except OSError:
            return _NO_STATM

    def close(self) -> None:
        """Close the descriptor; a second time does nothing."""
        with _core.Held(self._lock) as take:
            take()
            file, self._file = self._file, -1
            if file >= 0:
                os.close(file)


class _Statm(NamedTuple):
    """In pages, the first four words of /proc/PID/statm."""

    size: int
    resident: int
    of_files: int
    length: int


_NO_STATM = _Statm(0, 0, 0, 0)


def _parsed(text: bytes) -> _Statm:
    return _Statm(*map(int, text.split()[:4]))


def _statm_of(task: int | str) -> _Statm:
    """All 0 where it has no memory, or there is no such task."""
    try:
        with open(f"/proc/{task}/statm", "rb", buffering=0) as file:
            return _parsed(file.read())
    except OSError:
        return _NO_STATM


def _kilobytes_of(path: str, names: Iterable[bytes]) -> list[int]:
    """In bytes, the fields of such names in a file of lines; 0 for those that are not there."""
    text = b"\n" + procfs.bytes_of(path)
    return [_field(text, name) for name in names]


def _field(text: bytes, name: bytes) -> int:
    value = text.partition(b"\n" + name)[2]
    return int(value.split(maxsplit=1)[0]) << 10 if value else 0


def _rollup(pid: int | str, names: Iterable[bytes]) -> int:
    return sum(_kilobytes_of(f"/proc/{pid}/smaps_rollup", names))


def _kilobytes(text: str) -> int:
    return int(text.split(maxsplit=1)[0]) << 10
