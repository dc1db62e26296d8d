"""The running kernel: its release, its addresses for programs, and its names of errnos."""

import errno
import functools
import os
from pathlib import Path

from ..law import Caller
from ..law.version import parse_version, spans

_MAPS = Path("/proc/self/maps")
_VSYSCALL = 1 << 63  # where it is listed, no program can map anything


@functools.cache
def running_kernel() -> str:
    """The release of this machine's kernel, such as "6.18.2-generic": uname(2)."""
    return os.uname().release


def kernel_is_since(version: str) -> bool:
    """Whether the running kernel is of that version, such as "7.1", or later."""
    return spans(parse_version(running_kernel()), version, None)


@functools.cache
def end_of_user_space(machine: str, maps: Path = _MAPS) -> int:
    """The first address that is none of a program's: TASK_SIZE.

    On x86_64 the law has it. Elsewhere the kernel may have been built with one of several: it is the power
    of two above all that is mapped, since the stack lies at the top.
    Source: Documentation/arch/arm64/memory.rst.
    """
    if machine == "x86_64":
        return Caller().task_size
    ends = (int(line.split()[0].split("-")[1], 16) for line in maps.read_text().splitlines())
    return 1 << (max(end for end in ends if end < _VSYSCALL) - 1).bit_length()


def errno_name(number: int) -> str:
    """The name by which Linux and the law know an errno: Python prefers ENOTSUP to EOPNOTSUPP."""
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, f"{number}")
