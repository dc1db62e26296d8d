"""What a process that is to be confined has of the memory of others: it gets a copy of its own.

A copy of a process shares its MAP_SHARED mappings: files, memory of other processes, rings by which the
kernel takes orders. What is written there would leave the sandbox, with the rights of who has mapped it.
"""

import mmap
import os
import stat
from collections.abc import Iterator
from itertools import dropwhile
from typing import NamedTuple

from ... import _core

_PROTECTIONS = {"r": mmap.PROT_READ, "w": mmap.PROT_WRITE, "x": mmap.PROT_EXEC}
_NOTHING = 0  # PROT_NONE
_ANONYMOUS = -1
_DEVICES = "/dev/"
_MEMORY = ("/dev/zero", "/dev/shm/")
_MEMORY_WITHOUT_A_DISK = (*_MEMORY, "/memfd:", "/SYSV")
# From there on a copy of holes, which fills them, costs more than to look for them.
_LARGE = 1 << 30
_PROBE_BYTES = 1 << 20  # more than the least that a processor wants of a stack


class SharedMapping(NamedTuple):
    """A line of /proc/PID/maps."""

    start: int
    size: int
    protection: int
    offset: int
    file: tuple[int, int]  # its device and inode
    path: str

    @property
    def is_memory(self) -> bool:
        """Whether it can be read without an effect: it is no device's, and none of the kernel's."""
        if self.path.startswith(_DEVICES):
            return self.path.startswith(_MEMORY)
        return self.path.startswith("/")

    @classmethod
    def parse(cls, line: str) -> "SharedMapping":
        """Read one."""
        place, permissions, offset, device, inode, *path = line.split(None, 5)
        start, end = (int(number, 16) for number in place.split("-"))
        bits = sum(bit for letter, bit in _PROTECTIONS.items() if letter in permissions)
        file = os.makedev(*(int(number, 16) for number in device.split(":"))), int(inode)
        return cls(start, end - start, bits, int(offset, 16), file, "".join(path))


def open_proc() -> int:
    """A descriptor of /proc, for replace_all() in a copy of this process that sees it no more."""
    return os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def replace_those_of_files(proc: int) -> None:
    """Map anew the files that can be opened, and without a way to write to them: that copies nothing.

    To be called where their paths are seen.
    """
    for mapping in _shared(proc):
        file = _opened(proc, mapping)
        if file is not None:
            try:
                _replace(mapping, mapping.protection, file, mapping.offset)
            finally:
                os.close(file)


def replace_all(proc: int) -> None:
    """Put private copies in the place of all shared mappings; of a device or a ring, nothing at all.

    Raises OSError where that cannot be done: then this process is not to go on. proc: is closed.
    """
    try:
        for mapping in _shared(proc):
            if mapping.is_memory:
                _replace_by_copy(proc, mapping)
            else:
                _replace(mapping, _NOTHING, _ANONYMOUS, 0)
    finally:
        os.close(proc)


def _shared(proc: int) -> Iterator[SharedMapping]:
    for line in _lines(proc, "self/maps"):
        if line.split(None, 2)[1][3] == "s":
            yield SharedMapping.parse(line)


def _lines(proc: int, path: str) -> list[str]:
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc), "rb") as file:
        return file.read().decode(errors="surrogateescape").splitlines()


def _lines_from(proc: int, path: str, start: int) -> Iterator[str]:
    """Those of the mapping that starts there, and all after it."""
    return dropwhile(lambda line: not line.startswith(f"{start:08x}-"), _lines(proc, path))


def _opened(proc: int, mapping: SharedMapping) -> int | None:
    """The mapping's file, if the path leads to it and it may be read."""
    if not mapping.is_memory:
        return None
    try:
        if not stat.S_ISREG(os.stat(mapping.path).st_mode):
            return None
        file = os.open(mapping.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return None
    status = os.fstat(file)
    if (status.st_dev, status.st_ino) == mapping.file or _as_mapped(proc, file) == mapping.file:
        return file
    os.close(file)
    return None


def _as_mapped(proc: int, file: int) -> tuple[int, int] | None:
    """Its device and inode where it is mapped: stat() tells others on some file systems, as on btrfs."""
    probe = _core.Stack(_PROBE_BYTES)
    try:
        _core.replace_mapping(probe.base, mmap.PAGESIZE, _NOTHING, file, 0)
    except OSError:
        return None
    return SharedMapping.parse(next(_lines_from(proc, "self/maps", probe.base))).file


def _may_have_holes(proc: int, mapping: SharedMapping) -> bool:
    """Whether what is not in memory is nowhere else: it is on no disk, and none of it swapped out."""
    if mapping.size < _LARGE or not mapping.path.startswith(_MEMORY_WITHOUT_A_DISK):
        return False
    of_it = _lines_from(proc, "self/smaps", mapping.start)
    return next(line for line in of_it if line.startswith("Swap:")).split()[1] == "0"


def _replace_by_copy(proc: int, mapping: SharedMapping) -> None:
    memory = os.memfd_create("ramet own mapping", os.MFD_CLOEXEC)
    try:
        os.truncate(memory, mapping.size)
        holes = _may_have_holes(proc, mapping)
        _core.copy_memory(memory, mapping.start, mapping.size, holes)
        _replace(mapping, mapping.protection, memory, 0)
    finally:
        os.close(memory)


def _replace(mapping: SharedMapping, protection: int, file: int, offset: int) -> None:
    _core.replace_mapping(mapping.start, mapping.size, protection, file, offset)
