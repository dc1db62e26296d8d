"""What a pidfd tells: that its task has ended, and with what status."""

import fcntl
import math
import select
import struct
import time

from .exit_status import ExitStatus

_LONGEST_POLL_MS = (1 << 31) - 1

# ioctl(pidfd, PIDFD_GET_INFO, struct pidfd_info), include/uapi/linux/pidfd.h
_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, 64 bytes)
_INFO = struct.Struct("=QQ11Ii")  # mask, cgroupid, pid to fsgid, exit_code
_INFO_EXIT = 1 << 3


def wait_readable(pidfd: int, timeout: float | None) -> bool:
    """Wait until the task has ended; timeout in seconds, None for ever. False when the time is up.

    Source: pidfd_open(2), poll(2).
    """
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if timeout is None:
        return bool(poll.poll())
    deadline = time.monotonic() + timeout
    while True:
        left = max(0.0, deadline - time.monotonic())
        # poll() counts whole milliseconds: rounding up, so that it never ends before its time
        if poll.poll(math.ceil(min(left * 1000, _LONGEST_POLL_MS))):
            return True
        if time.monotonic() >= deadline:
            return False


def exit_status(pidfd: int | None) -> ExitStatus:
    """How a task ended that is not ours to wait for; unknown while nobody has reaped it.

    Needs: Linux 6.15, else unknown. Source: include/uapi/linux/pidfd.h PIDFD_INFO_EXIT.
    """
    if pidfd is None:
        return ExitStatus.unknown()
    asked = _INFO.pack(_INFO_EXIT, *[0] * 13)
    try:
        answer = _INFO.unpack(fcntl.ioctl(pidfd, _GET_INFO, asked))
    except OSError:
        return ExitStatus.unknown()
    mask, *_, code = answer
    return ExitStatus.from_wstatus(code) if mask & _INFO_EXIT else ExitStatus.unknown()
