"""pidfds: whether a task has ended, with what status, and signals for it; what is done without one."""

import errno
import fcntl
import os
import select
import signal
import struct
import time
from collections.abc import Iterable

from .. import _core
from ..exit_status import ExitStatus
from . import procfs
from .names import WALL
from .timeouts import deadline_after, milliseconds_until, pauses, seconds_until

# ioctl(pidfd, PIDFD_GET_INFO, struct pidfd_info), include/uapi/linux/pidfd.h
_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, 64 bytes)
_INFO = struct.Struct("=QQ11Ii")  # mask, cgroupid, pid to fsgid, exit_code
_INFO_PID, _INFO_EXIT = 1 << 0, 1 << 3
_FIELDS_TO_FILL = (0,) * 13
_ASKED_FOR_PID = _INFO.pack(_INFO_PID, *_FIELDS_TO_FILL)


def wait_readable(pidfd: int, timeout: float | None) -> bool:
    """Wait until the task has ended; timeout in seconds, None for ever. False when the timeout is over.

    Source: pidfd_open(2), poll(2).
    """
    return _core.wait_readable(pidfd, timeout)


def wait_by_pid(pid: int, timeout: float | None) -> bool:
    """wait_readable() for a child without a pidfd: before Linux 5.3, or when none could be opened.

    It is not reaped. Source: waitid(2).
    """
    deadline = deadline_after(timeout)
    for pause in pauses():  # waitid(2) has no timeout, and SIGCHLD is the program's
        try:
            if _core.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT | WALL):
                break
        except ChildProcessError:  # another's to wait for, or the kernel is about to reap it
            if not exists(pid):
                break
        if deadline is not None and time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True


def wait_any(pidfds: Iterable[int], timeout: float | None) -> list[int]:
    """Wait until one of the tasks has ended; returns which have, empty when the timeout is over.

    timeout: in seconds, None for ever. A descriptor that is closed counts as one of them.
    Source: pidfd_open(2), poll(2).
    """
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    deadline = deadline_after(timeout)
    while True:
        ready = poll.poll(milliseconds_until(deadline))
        if ready or seconds_until(deadline) == 0:
            return [pidfd for pidfd, _ in ready]


def send(pidfd: int, pid: int | None, number: int) -> None:
    """Send a signal to the task of the pidfd.

    A seccomp filter may allow kill(2) and not this call: then the signal goes to the pid, which no
    other task can have before this one ends. pid: None where only the pidfd tells it.
    ProcessLookupError when it has ended, PermissionError when it may not be signalled.
    Source: pidfd_send_signal(2), kill(2).
    """
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        raise
    except OSError as error:
        if error.errno in {errno.EBADF, errno.EINVAL}:
            raise
        if pid is None:
            (pid,) = pids_of(pidfd)
        if wait_readable(pidfd, 0.0):
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from None
        if pid <= 0:
            raise
        os.kill(pid, number)


def exists(pid: int) -> bool:
    """Whether there is such a task, a zombie included. Source: kill(2)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def exit_status(pidfd: int | None) -> ExitStatus:
    """How a task ended that has another parent; unknown where nothing tells.

    Until that parent has reaped it /proc tells, to those who may trace it; then the pidfd does.
    Needs: Linux 6.15 for a task that was reaped. Source: include/uapi/linux/pidfd.h PIDFD_INFO_EXIT,
    proc_pid_stat(5).
    """
    if pidfd is None:
        return ExitStatus.unknown()
    code = procfs.wait_status_of(pidfd)
    if code is None:  # it has been reaped, perhaps while /proc was read
        code = _wait_status_of_reaped(pidfd)
    return ExitStatus.unknown() if code is None else ExitStatus.from_wstatus(code)


def _wait_status_of_reaped(pidfd: int) -> int | None:
    asked = _INFO.pack(_INFO_EXIT, *_FIELDS_TO_FILL)
    try:
        answer = _INFO.unpack(fcntl.ioctl(pidfd, _GET_INFO, asked))
    except OSError:
        return None
    mask, *_, code = answer
    return code if mask & _INFO_EXIT else None


def pids_of(*pidfds: int) -> list[int]:
    """The pids of tasks in this process's pid namespace, whichever /proc is mounted.

    pidfds: known to be such. ProcessLookupError where a task has none there.
    Source: include/uapi/linux/pidfd.h PIDFD_INFO_PID (Linux 6.13), before it /proc/PID/fdinfo.
    """
    try:
        answers = [_INFO.unpack(fcntl.ioctl(pidfd, _GET_INFO, _ASKED_FOR_PID)) for pidfd in pidfds]
    except OSError:
        return procfs.pids_of(*pidfds)
    found = [pid for _, _, pid, *_ in answers]
    if 0 in found:
        raise ProcessLookupError(errno.ESRCH, "the task is in no pid namespace below this one")
    return found
