"""What a call writes to its standard output and error, in memory, for its future."""

import fcntl
import os
import resource
import threading
from mmap import PAGESIZE

from .._core import Held
from .._kernel.descriptors import above_standard

_NAMES = ("ramet-stdout", "ramet-stderr")
_SIZE_IS_FIXED = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK
_BLOCK = 512  # bytes in one of st_blocks
# A write goes in pieces, each of which is written or not: of a page, and since some Linux after 6.18 of a
# huge one (mm/filemap.c, generic_perform_write). A table of pages has eight bytes for each, and fills one.
_LARGEST_PIECE = PAGESIZE // 8 * PAGESIZE
_LARGEST_FILE = (1 << 63) - _LARGEST_PIECE


class Captured:
    """The files of one call. most_bytes: of both together; None: as many as it writes.

    A file of a fixed size takes no more than that and a piece of a write, EPERM: who does not read
    meanwhile must not be filled.
    """

    def __init__(self, most_bytes: int | None) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self.descriptors: list[int] = []
        try:
            for name in _NAMES:
                self._add(name)
        except BaseException:
            self.close()
            raise

    def _add(self, name: str) -> None:
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        descriptor = above_standard(os.memfd_create(name, flags))
        self.descriptors.append(descriptor)
        if self._most_bytes is not None:
            os.ftruncate(descriptor, _size(self._most_bytes))
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SIZE_IS_FIXED)

    @property
    def is_too_much(self) -> bool:
        """Whether the call has written more than it may."""
        return self._most_bytes is not None and sum(map(len, self._read())) > self._most_bytes

    def texts(self) -> list[str]:
        """What the call has written to each. OSError or MemoryError: it cannot be read."""
        return [written[: self._most_bytes].decode(errors="replace") for written in self._read()]

    def memory(self) -> int:
        """The bytes of memory that they take; 0 when they are closed, be it in another thread."""
        with Held(self._lock) as take:
            take()
            return sum(os.fstat(each).st_blocks * _BLOCK for each in self.descriptors)

    def close(self) -> None:
        """Let go of what was written."""
        with Held(self._lock) as take:
            take()
            while self.descriptors:
                os.close(self.descriptors.pop())

    def _read(self) -> list[bytes]:
        found = []
        for each in self.descriptors:
            # The call may have set its size: what lies there takes memory, holes do not.
            status = os.fstat(each)
            written = os.pread(each, min(status.st_size, status.st_blocks * _BLOCK), 0)
            if self._most_bytes is not None:  # then more lies there than was written
                end = max(os.lseek(each, 0, os.SEEK_CUR), len(written.rstrip(b"\0")))
                written = written[:end]
            found.append(written)
        return found


def _size(most_bytes: int) -> int:
    """Whole pieces: what is written beyond that many bytes is there then, for is_too_much to see.

    A file may be no larger than this process's limit, which the call has as well unless it has a lower one.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = _LARGEST_FILE if limit == resource.RLIM_INFINITY else min(limit, _LARGEST_FILE)
    return min((most_bytes // _LARGEST_PIECE + 1) * _LARGEST_PIECE, largest)
