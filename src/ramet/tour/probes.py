"""What the experiments read from the kernel without the library."""

import ctypes
import mmap
import os
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import ramet
from ramet.lowlevel import KcmpType, kcmp

__all__ = [
    "KcmpType",
    "kcmp",
]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LIBC = ctypes.CDLL(None, use_errno=True)

# Much longer than any observation takes; an experiment that reaches it raises an exception.
PATIENCE_SECONDS = 5.0

# waitpid(2) and waitid(2): children of every exit signal.
WALL = 0x40000000


def checked(result: int) -> int:
    """The result of a call of libc, or its errno as an OSError."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def namespace_id(pid: int, name: str) -> int:
    """The number of a namespace of a task (or thread), such as "mnt" or "pid_for_children".

    Source: namespaces(7).
    """
    return os.stat(f"/proc/{pid}/ns/{name}").st_ino


def proc_status(pid: int, field: str) -> str:
    """One field of /proc/PID/status, such as "TracerPid"; KeyError when there is none.

    Source: proc_pid_status(5).
    """
    with open(f"/proc/{pid}/status") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name == field:
                return value.strip()
    raise KeyError(field)


def proc_stat(pid: int, number: int) -> str:
    """One field of /proc/PID/stat, counted from 1 as in proc_pid_stat(5)."""
    with open(f"/proc/{pid}/stat") as file:
        text = file.read()
    # The second field, the name, may itself hold spaces and brackets.
    before, _, after = text.rpartition(")")
    own_pid, _, name = before.partition(" (")
    return [own_pid, name, *after.split()][number - 1]


def ask(flags: int, fn: Callable[[*Ts], T], *args: *Ts) -> T:
    """What fn(*args) returned in a child with these flags."""
    with ramet.clone(fn, *args, flags=flags, trusted=True) as child:
        return child.result(PATIENCE_SECONDS)


def exit_code(pid: int) -> int:
    """Wait for a child of any exit signal: its code, or the negative signal. Source: waitpid(2)."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, WALL)[1])


class SharedWord:
    """A word of memory that copies of this process share with it.

    Source: mmap(2) MAP_SHARED.
    """

    def __init__(self, value: int = 0) -> None:
        self._word = ctypes.c_uint64.from_buffer(mmap.mmap(-1, mmap.PAGESIZE))
        self._word.value = value

    @property
    def address(self) -> int:
        """Its address."""
        return ctypes.addressof(self._word)

    @property
    def value(self) -> int:
        """Its value now."""
        return self._word.value
