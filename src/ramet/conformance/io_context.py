"""An I/O context, which a task gets when it sets an I/O priority or waits for a disk."""

import ctypes
import platform

# libc has no wrapper for ioprio_set(2).
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_WHO_PROCESS = 1
_BEST_EFFORT_4 = 2 << 13 | 4


def make_io_context() -> None:
    """Give this task one, where the number of the call is known: ioprio_set(2)."""
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        arguments = (number, _WHO_PROCESS, 0, _BEST_EFFORT_4)
        ctypes.CDLL(None).syscall(*map(ctypes.c_long, arguments))
