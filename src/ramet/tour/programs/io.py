"""IO: shares the I/O context: the I/O scheduler counts both as one."""

import ctypes
import platform

import ramet
from ramet import CloneFlag as F

libc = ctypes.CDLL(None)
number = {"x86_64": 251, "aarch64": 30}[platform.machine()]  # of ioprio_set(2)
BEST_EFFORT = 2 << 13


def set_level(level: int) -> None:
    libc.syscall(*map(ctypes.c_long, (number, 1, 0, BEST_EFFORT | level)))


def level() -> int:
    return int(libc.syscall(*map(ctypes.c_long, (number + 1, 1, 0)))) & 7


set_level(4)
ramet.clone(set_level, 7).wait()
print(level())  # 4
ramet.clone(set_level, 7, flags=F.IO).wait()
print(level())  # 7
