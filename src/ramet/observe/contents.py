"""Which words of copied pages differ from the origin's: a copy is made for one of them."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final, NamedTuple

from .._kernel.process_memory import PAGE_BYTES
from .pages import Kind, Span

WORD: Final = 8
_COPIED_RUN: Final = re.compile(b"%c+" % Kind.COPIED)
# Of both processes. The buffers lie in memory that a child of this process may share, and copy it.
_PAGES_AT_ONCE: Final = 32
_IS_NOT_ZERO: Final = bytes([0]) + bytes([1]) * 255


class Copied(NamedTuple):
    """Some copied pages beside each other. ``differing``: 1 for each word that differs, else 0.

    Empty, where the contents were not compared.
    """

    start: int
    pages: int
    differing: bytes


def copied(spans: list[Span]) -> list[Copied]:
    """The copied pages; their contents are not compared."""
    return [Copied(start, pages, b"") for start, pages in _runs(spans)]


def compared(spans: list[Span], child: int, origin: int) -> list[Copied]:
    """The copied pages, and the words in which they differ. Both pids are of processes that run on.

    Raises OSError when the contents of one may not be read: PTRACE_MODE_ATTACH, which a process has for
    its own children, too, where the Yama module limits it to these. Source: proc_pid_mem(5).
    """
    with ExitStack() as opened:
        files = []
        for pid in (child, origin):
            files.append(os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC))
            opened.callback(os.close, files[-1])
        found = []
        for start, pages in _runs(spans):
            size = pages * PAGE_BYTES
            here, there = (_read(file, size, start) for file in files)
            if len(here) == len(there) == size:  # else one has unmapped it since
                found.append(Copied(start, pages, _differing(here, there)))
    return found


def _read(file: int, size: int, start: int) -> bytes:
    """So much of a memory; nothing where it is mapped no more."""
    try:
        return os.pread(file, size, start)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""


def _runs(spans: list[Span]) -> Iterator[tuple[int, int]]:
    """The address and the number of pages of each run of copied pages, a long one in parts."""
    for span in spans:
        for run in _COPIED_RUN.finditer(span.kinds):
            for first in range(run.start(), run.end(), _PAGES_AT_ONCE):
                last = min(run.end(), first + _PAGES_AT_ONCE)
                yield span.start + first * PAGE_BYTES, last - first


def _differing(here: bytes, there: bytes) -> bytes:
    """A byte for each word. All is done on large numbers, since there may be millions of words."""
    both = int.from_bytes(here, "little") ^ int.from_bytes(there, "little")
    differs = both.to_bytes(len(here), "little").translate(_IS_NOT_ZERO)
    words = 0
    for byte in range(WORD):
        words |= int.from_bytes(differs[byte::WORD], "little")
    return words.to_bytes(len(here) // WORD, "little")
