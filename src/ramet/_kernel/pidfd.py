"""What a pidfd tells: that its task has ended, and with what status."""

import fcntl
import math
import os
import select
import signal
import struct
import time
from collections.abc import Iterable

from .. import _core
from ..exit_status import ExitStatus

_LONGEST_POLL_MS = (1 << 31) - 1

# ioctl(pidfd, PIDFD_GET_INFO, struct pidfd_info), include/uapi/linux/pidfd.h
_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, 64 bytes)
_INFO = struct.Struct("=QQ11Ii")  # mask, cgroupid, pid to fsgid, exit_code
_INFO_EXIT = 1 << 3


def wait_readable(pidfd: int, timeout: float | None) -> bool:
    """Wait until the task has ended; timeout in seconds, None for ever. False when the time is up.

    Source: pidfd_open(2), poll(2).
    """
    return _core.wait_readable(pidfd, timeout)


def wait_any(pidfds: Iterable[int], timeout: float | None) -> list[int]:
    """Wait until one of the tasks has ended, and tell which have; empty when the time is up.

    timeout: in seconds, None for ever. A descriptor that is closed counts as one of them.
    Source: pidfd_open(2), poll(2).
    """
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        ready = poll.poll(_milliseconds_until(deadline))
        if ready or (deadline is not None and time.monotonic() >= deadline):
            return [pidfd for pidfd, _ in ready]


def send(pidfd: int, pid: int, number: int) -> None:
    """A signal for the task that the pidfd stands for.

    A filter may know kill(2) and not this call: then by its pid, which is its own as long as it has
    not ended. ProcessLookupError when it has, PermissionError when it may not be signalled.
    Source: pidfd_send_signal(2), kill(2).
    """
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        raise
    except OSError:
        if wait_readable(pidfd, 0.0):
            raise
        os.kill(pid, number)


def _milliseconds_until(deadline: float | None) -> int | None:
    """poll() counts whole milliseconds: rounding up, so that it never ends before its time."""
    if deadline is None:
        return None
    left = max(0.0, deadline - time.monotonic())
    return math.ceil(min(left * 1000, _LONGEST_POLL_MS))


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
