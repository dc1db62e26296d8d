"""Tasks that this process traces, as ptrace(2) has it: by calls alone, without a debugger."""

import ctypes
import os
import signal
from typing import NamedTuple

from .constants import PTRACE_SEIZE, WALL

# include/uapi/linux/ptrace.h
PTRACE_CONT, PTRACE_LISTEN = 7, 0x4208
OPTION_FORK, OPTION_VFORK, OPTION_CLONE, OPTION_EXITKILL = 1 << 1, 1 << 2, 1 << 3, 1 << 20
EVENT_STOP = 128
_STOPS = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class Told(NamedTuple):
    """What a tracer is told of a task."""

    tid: int
    is_over: bool
    event: int
    signal: int
    code: int = 0  # of one that is over: minus its signal


def ask(request: int, tid: int, data: int = 0) -> None:
    """One that has been killed meanwhile answers no more, which is no error."""
    if _libc.ptrace(request, tid, None, data) < 0:
        number = ctypes.get_errno()
        if number != 3:  # ESRCH
            raise OSError(number, f"ptrace({request:#x})")


def seize(pid: int) -> None:
    """Trace it and all that it makes; they die with this process."""
    options = OPTION_FORK | OPTION_VFORK | OPTION_CLONE | OPTION_EXITKILL
    ask(PTRACE_SEIZE, pid, options)


def next_told() -> Told:
    """Of any of them, and of the children of this process. Raises ChildProcessError when there are none."""
    tid, status = os.waitpid(-1, WALL)
    if os.WIFSTOPPED(status):
        return Told(tid, False, status >> 16, os.WSTOPSIG(status))
    return Told(tid, True, 0, 0, os.waitstatus_to_exitcode(status))


def let_go_on(told: Told) -> None:
    """As it would without a tracer: with its signal, or stopped where it has been stopped."""
    if told.event == EVENT_STOP and told.signal in _STOPS:
        ask(PTRACE_LISTEN, told.tid)
    else:
        ask(PTRACE_CONT, told.tid, 0 if told.event else told.signal)
