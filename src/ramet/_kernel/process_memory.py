"""The memory of a process as /proc tells it, in bytes."""

import os
import resource
from collections.abc import Iterable

from . import procfs

PAGE_BYTES = resource.getpagesize()

# /proc/PID/smaps_rollup: what is mapped by this process alone
_PRIVATE = (b"Private_Clean:", b"Private_Dirty:", b"Private_Hugetlb:")
_PRIVATE_DIRTY = (b"Private_Dirty:", b"Private_Hugetlb:")


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


def private_written_bytes(pid: int) -> int:
    """The pages that it alone maps and has written to: those that it has copied, and new ones."""
    return _rollup(pid, _PRIVATE_DIRTY)


def unbacked_bytes(pid: int) -> int:
    """What is resident of a process and is in no file on disk: anonymous pages, tmpfs, shared memory.

    Pages that it shares with its parent are counted. Source: proc_pid_status(5) RssAnon, RssShmem.
    """
    fields = procfs.status(pid)
    return sum(_kilobytes(fields.get(name, "0 kB")) for name in ("RssAnon", "RssShmem"))


def data_bytes() -> int:
    """What RLIMIT_DATA counts of this process, and its stack. Source: proc_pid_statm(5)."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read().split()[5]) * PAGE_BYTES


class ResidentSize:
    """The resident set of a process, read from one open descriptor in about a microsecond."""

    def __init__(self, pid: int) -> None:
        self._file = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)

    def bytes(self) -> int:
        """The resident pages, shared ones included; 0 when the process has left its memory."""
        return self._pages()[0] * PAGE_BYTES

    def anonymous_bytes(self) -> int:
        """Those that are in no file, not even in one of a tmpfs."""
        resident, of_files = self._pages()
        return (resident - of_files) * PAGE_BYTES

    def may_be_ours(self) -> bool:
        """Whether as much is mapped as here, about, and by a program of the same length.

        So it is with a child that has this process's memory, and no program of its own yet.
        """
        try:
            with open("/proc/self/statm", "rb", buffering=0) as file:
                size, _, _, length, *_ = map(int, file.read().split())
        except OSError:  # without a descriptor it is not known, and what is resident counts
            return False
        its_size, _, _, its_length = self._statm()
        return its_length == length and abs(its_size - size) < size // 8

    def _pages(self) -> tuple[int, int]:
        _, resident, of_files, _ = self._statm()
        return resident, of_files

    def _statm(self) -> tuple[int, int, int, int]:
        try:
            size, resident, of_files, length, *_ = map(int, os.pread(self._file, 128, 0).split())
        except OSError:  # it was reaped
            return 0, 0, 0, 0
        return size, resident, of_files, length

    def close(self) -> None:
        """Close the descriptor; a second time does nothing."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def _rollup(pid: int | str, names: Iterable[bytes]) -> int:
    with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        fields = (line.split() for line in file)
        return sum(int(words[1]) << 10 for words in fields if words[0] in names)


def _kilobytes(text: str) -> int:
    return int(text.split(maxsplit=1)[0]) << 10
