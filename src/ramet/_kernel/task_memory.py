"""The memory of a task as /proc shows it: its mappings with their counters, and what each page is."""

import fcntl
import os
import struct
import sys
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Final, Self

from .process_memory import PAGE_BYTES

_ENTRY: Final = 8  # bytes of /proc/PID/pagemap for each page
_HIGH_BYTE: Final = _ENTRY - 1 if sys.byteorder == "little" else 0
_KIB: Final = 1024

# Bits of the high byte of an entry. Source: Documentation/admin-guide/mm/pagemap.rst
_EXCLUSIVE, _FILE, _SWAPPED, _PRESENT = 1 << 0, 1 << 5, 1 << 6, 1 << 7

# include/uapi/linux/fs.h, since Linux 6.7
_PAGEMAP_SCAN: Final = 0xC0606610
_SCAN_ARGUMENT: Final = struct.Struct("=12Q")
_WALK_END: Final = 4  # where the scan has come to, among the fields
_IS_PRESENT, _IS_SWAPPED, _IS_ZERO, _IS_HUGE = 1 << 3, 1 << 4, 1 << 5, 1 << 6
_REGION_FIELDS: Final = 3
_REGIONS_AT_ONCE: Final = 512

# Ranges with pages that are less apart are read as one: a call costs more than some entries.
_NEAR: Final = 512 * PAGE_BYTES


class PageState(IntEnum):
    """What one page of a task is, as far as its own page table shows it.

    EXCLUSIVE: it is mapped once, by this task. COMMON: it is mapped more than once. FILE: it is a page of a
    file, or of memory that is shared on purpose; otherwise it is anonymous, as a private copy is of a
    file's page, too. HUGE: an anonymous page that is part of a huge one. Of these Linux says for all what
    holds for the first: pagemap_pmd_range(), fs/proc/task_mmu.c.
    """

    ABSENT = 0
    SWAPPED = 1
    COMMON = 2
    EXCLUSIVE = 3
    FILE_COMMON = 4
    FILE_EXCLUSIVE = 5
    HUGE_COMMON = 6
    HUGE_EXCLUSIVE = 7


@dataclass(frozen=True)
class Mapping:
    """One mapping of a task, with counters in bytes. Source: proc_pid_smaps(5)."""

    start: int
    end: int
    permissions: str
    name: str
    resident: int
    pss: int
    swapped: int


def mappings(pid: int) -> list[Mapping]:
    """The mappings of a task, by /proc/PID/smaps. Needs PTRACE_MODE_READ."""
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="surrogateescape") as smaps:
        return list(_parsed(smaps))


def _parsed(lines: Iterator[str]) -> Iterator[Mapping]:
    head = ""
    counters: dict[str, int] = {}
    for line in lines:
        first, _, rest = line.partition(" ")
        if not first.endswith(":"):
            head, counters = line, {}
        elif first == "VmFlags:":  # the last line of each mapping
            yield _mapping(head, counters)
        elif rest.endswith(" kB\n"):
            counters[first] = int(rest[:-3]) * _KIB


def _mapping(head: str, counters: dict[str, int]) -> Mapping:
    addresses, permissions, _offset, _device, _inode, *name = head.rstrip("\n").split(maxsplit=5)
    start, _, end = addresses.partition("-")
    return Mapping(
        int(start, 16),
        int(end, 16),
        permissions,
        "".join(name),
        # Huge pages of hugetlbfs are in no other counter.
        counters["Rss:"] + counters["Shared_Hugetlb:"] + counters["Private_Hugetlb:"],
        counters["Pss:"],
        counters["Swap:"],
    )


class PageTable:
    """The page table of a task, open for reading: /proc/PID/pagemap.

    It goes on showing the memory that the task had when it was opened, until that memory is gone.
    Needs: PTRACE_MODE_READ; the numbers of page frames, which are not read, would need CAP_SYS_ADMIN.
    """

    def __init__(self, pid: int) -> None:
        self._file = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def states(self, start: int, end: int) -> bytes:
        """A PageState for each page from start to end; what is beyond the memory is ABSENT.

        The kernel's page of zeros, which untouched memory that was read shows, is ABSENT, too: it costs
        nothing. Before Linux 6.7 it cannot be told from a common page, nor can a huge one.
        """
        entries = bytearray()
        count = (end - start) // PAGE_BYTES
        while len(entries) < count * _ENTRY:
            offset = start // PAGE_BYTES * _ENTRY + len(entries)
            piece = os.pread(self._file, count * _ENTRY - len(entries), offset)
            if not piece:
                break
            entries += piece
        states = bytearray(entries[_HIGH_BYTE::_ENTRY].translate(_STATES).ljust(count, b"\0"))
        with suppress(OSError):  # Linux before 6.7
            for category, changed in ((_IS_ZERO, _ALL_ABSENT), (_IS_HUGE, _AS_HUGE)):
                for first, last in self._scan(start, end, category):
                    pages = slice((first - start) // PAGE_BYTES, (last - start) // PAGE_BYTES)
                    states[pages] = states[pages].translate(changed)
        return bytes(states)

    def populated(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Ranges that hold every page of it that is in memory or in swap, and few others.

        Where the kernel cannot tell (before Linux 6.7) that is all of it.
        """
        try:
            found = list(self._scan(start, end, _IS_PRESENT | _IS_SWAPPED))
        except OSError:
            yield start, end
            return
        while found:
            first, last = found.pop(0)
            while found and found[0][0] - last < _NEAR:
                last = found.pop(0)[1]
            yield first, last

    def _scan(self, start: int, end: int, any_of: int) -> Iterator[tuple[int, int]]:
        """The ranges of pages of these categories: ioctl PAGEMAP_SCAN."""
        regions = array("Q", bytes(_ENTRY * _REGION_FIELDS * _REGIONS_AT_ONCE))
        address, _ = regions.buffer_info()
        size = _SCAN_ARGUMENT.size
        while start < end:
            asked = (size, 0, start, end, 0, address, _REGIONS_AT_ONCE, 0, 0, 0, any_of, any_of)
            argument = bytearray(_SCAN_ARGUMENT.pack(*asked))
            count = fcntl.ioctl(self._file, _PAGEMAP_SCAN, argument)
            for place in range(0, count * _REGION_FIELDS, _REGION_FIELDS):
                yield regions[place], regions[place + 1]
            start = _SCAN_ARGUMENT.unpack(argument)[_WALK_END]


def _state(bits: int) -> PageState:
    if bits & _SWAPPED:
        return PageState.SWAPPED
    if not bits & _PRESENT:
        return PageState.ABSENT
    if bits & _FILE:
        return PageState.FILE_EXCLUSIVE if bits & _EXCLUSIVE else PageState.FILE_COMMON
    return PageState.EXCLUSIVE if bits & _EXCLUSIVE else PageState.COMMON


_STATES = bytes(_state(bits) for bits in range(1 << 8))
_ALL_ABSENT = bytes(1 << 8)
_AS_HUGE = bytes.maketrans(
    bytes([PageState.COMMON, PageState.EXCLUSIVE]),
    bytes([PageState.HUGE_COMMON, PageState.HUGE_EXCLUSIVE]),
)
