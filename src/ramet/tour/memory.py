"""What /proc shows of a task's memory: its mappings, its pages, its stack pointer."""

import mmap
import struct
from dataclasses import dataclass

_ENTRY = struct.Struct("=Q")
_FRAME_BITS = (1 << 55) - 1
_EXCLUSIVE = 1 << 56
_PRESENT = 1 << 63


@dataclass(frozen=True)
class Mapping:
    """One line of /proc/PID/maps."""

    start: int
    end: int
    name: str

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.end


@dataclass(frozen=True)
class Page:
    """One entry of /proc/PID/pagemap; the frame is 0 for users who may not read it."""

    present: bool
    exclusive: bool
    frame: int


def parse_mapping(line: str) -> Mapping:
    """Read a line of maps, or the first line of an entry of smaps: proc_pid_maps(5)."""
    addresses, _permissions, _offset, _device, _inode, *name = line.split(maxsplit=5)
    start, _, end = addresses.partition("-")
    return Mapping(int(start, 16), int(end, 16), "".join(name).strip())


def parse_page(entry: int) -> Page:
    """Read an entry of pagemap: proc_pid_pagemap(5)."""
    present = bool(entry & _PRESENT)
    # The low bits of a page that is swapped out are no frame number.
    return Page(present, bool(entry & _EXCLUSIVE), entry & _FRAME_BITS if present else 0)


def parse_stack_pointer(line: str) -> int | None:
    """The last but one word of /proc/PID/syscall; None while the task runs: proc_pid_syscall(5)."""
    words = line.split()
    return int(words[-2], 16) if len(words) > 1 else None


def parse_counters(smaps: str, address: int) -> dict[str, int]:
    """The counters, in KiB, of the mapping in smaps that holds the address: proc_pid_smaps(5)."""
    counters: dict[str, int] = {}
    inside = False
    for line in smaps.splitlines():
        name, _, rest = line.partition(":")
        if " " in name:  # the line of a mapping: names of counters are single words
            inside = address in parse_mapping(line)
        elif inside and rest.endswith(" kB"):
            counters[name] = int(rest.split()[0])
    return counters


def mapping_of(pid: int, address: int) -> Mapping | None:
    """The mapping of a task that holds the address."""
    with open(f"/proc/{pid}/maps") as maps:
        return next((found for found in map(parse_mapping, maps) if address in found), None)


def counters_of(pid: int, address: int) -> dict[str, int]:
    """The smaps counters of the mapping that holds the address."""
    with open(f"/proc/{pid}/smaps") as smaps:
        return parse_counters(smaps.read(), address)


def pages_of(pid: int, start: int, length: int) -> list[Page]:
    """The pages of a range of a task's memory."""
    first, count = start // mmap.PAGESIZE, length // mmap.PAGESIZE
    with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        pagemap.seek(first * _ENTRY.size)
        entries = pagemap.read(count * _ENTRY.size)
    return [parse_page(entry) for (entry,) in _ENTRY.iter_unpack(entries)]


def stack_pointer(pid: int) -> int:
    """The user-mode stack pointer of a task that is not running.

    Raises ProcessLookupError when it runs or is gone, PermissionError where /proc may not be read.
    """
    with open(f"/proc/{pid}/syscall") as syscall:
        pointer = parse_stack_pointer(syscall.read())
    if pointer is None:
        raise ProcessLookupError(f"task {pid} is running")
    return pointer
