"""Of which library a thread of this process is: the kernel has a name of it, which few libraries give."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .. import _core
from . import procfs

# Of a thread that waits for work, all frames, and above them what libc keeps of it.
_MOST_BYTES = 16384
# What begins threads for any library, and what they wait in.
_OF_ALL = ("libc.", "libc-", "libpthread", "ld-", "libstdc++", "libgcc_s", "libpython", "python")


class _Mapping(NamedTuple):
    start: int
    end: int
    code_of: str  # the file; empty for what is no code of a file


def files_of_waiting(threads: Iterable[int]) -> dict[int, str]:
    """By its tid, the file of which a thread that waits is: which began it, or else which it waits for.

    libc, C++ and Python are no answer. threads: of this process. One that runs is left out, and one of
    which nothing is found. Source: proc_pid_syscall(5), proc_pid_maps(5).
    """
    mappings = list(_mappings())
    memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = {tid: _file_of(tid, memory, mappings) for tid in threads}
    finally:
        os.close(memory)
    return {tid: file for tid, file in found.items() if file}


def _mappings() -> Iterator[_Mapping]:
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            place, permissions, _offset, _device, _inode, *path = line.rstrip().split(maxsplit=5)
            start, end = (int(number, 16) for number in place.split("-"))
            is_code = "x" in permissions and path and path[0].startswith("/")
            yield _Mapping(start, end, path[0] if is_code else "")


def _file_of(tid: int, memory: int, mappings: list[_Mapping]) -> str:
    try:
        *_, told, _ = procfs.text_of(f"/proc/self/task/{tid}/syscall").split()
        top = int(told, 16)
        ends = (one.end for one in mappings if one.start <= top < one.end)
        stack = os.pread(memory, min(_MOST_BYTES, next(ends, top) - top), top)
    except (OSError, ValueError):  # it has ended, or runs
        return ""
    words = memoryview(stack[: len(stack) // 8 * 8]).cast("Q")
    code = [one for one in mappings if one.code_of]
    own = _place_of_own(top, words)
    began = next(_files(words[own:], code), "")
    if began and not _is_of_all(began):
        return began
    return next((file for file in _files(words[:own], code) if not _is_of_all(file)), "")


def _place_of_own(top: int, words: Sequence[int]) -> int:
    """Where libc's record of the thread begins, whose first code is the function that it was given.

    Its first and third word hold its own address, but on aarch64. What is elsewhere may be of a thread that
    had this stack before. Source: glibc, nptl/descr.h and sysdeps/x86_64/nptl/tls.h.
    """
    for place, word in enumerate(words[:-2]):
        if word == top + 8 * place == words[place + 2]:
            return place
    return len(words)


def _files(words: Sequence[int], code: list[_Mapping]) -> Iterator[str]:
    for word in words:
        for one in code:
            if one.start <= word < one.end:
                yield one.code_of


def _is_of_all(path: str) -> bool:
    return path == _core.__file__ or os.path.basename(path).startswith(_OF_ALL)
