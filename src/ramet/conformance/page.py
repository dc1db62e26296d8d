"""The memory of trials: pages that a caller and all of its children share."""

import ctypes
import mmap
import struct
from typing import NamedTuple

_TRIAL = struct.Struct("=5i")
_WORDS = struct.Struct("=3i")
_BYTES = 64 * 1024
_WORDS_AT, _PIDS_AT, _TLS_AT, _STACK_AT, _STACK_BYTES = 64, 128, 4096, 16 * 1024, 32 * 1024

# No value that the kernel writes: neither a tid nor a descriptor, nor the 0 of CHILD_CLEARTID.
UNTOUCHED = -77


class Reported(NamedTuple):
    """What a child reports of itself."""

    arrived: int
    open: int
    pid: int
    ppid: int
    tid: int


class Words(NamedTuple):
    """The words that the kernel writes."""

    ptid: int
    ctid: int
    pidfd: int


class Page:
    """The children's stack, the trial and the kernel's words."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, _BYTES)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.ptid, self.ctid, self.pidfd = (
            self.address + _WORDS_AT + 4 * number for number in range(3)
        )
        self.pids = self.address + _PIDS_AT
        self.tls = self.address + _TLS_AT
        self.stack = self.address + _STACK_AT
        self.stack_size = _STACK_BYTES

    def clear(self) -> None:
        """Reset it for the next child."""
        _WORDS.pack_into(self.memory, _WORDS_AT, UNTOUCHED, UNTOUCHED, UNTOUCHED)

    def lay_pids(self, pids: tuple[int, ...]) -> int:
        """Write an array of chosen pids. Returns its address."""
        struct.pack_into(f"={len(pids)}i", self.memory, _PIDS_AT, *pids)
        return self.pids

    @property
    def reported(self) -> Reported:
        """What the child has reported."""
        return Reported(*_TRIAL.unpack_from(self.memory, 0))

    @property
    def words(self) -> Words:
        """What the kernel has written."""
        return Words(*_WORDS.unpack_from(self.memory, _WORDS_AT))
