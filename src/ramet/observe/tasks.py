"""Which task is meant by a pid or a handle, and whether its memory can be looked at."""

import errno
from operator import index
from typing import Protocol

from .._kernel import procfs


class HasPid(Protocol):
    """A handle of a task, such as a Child."""

    @property
    def pid(self) -> int:
        """Its pid, or its tid for a thread."""


def pid_of(task: int | HasPid) -> int:
    """The pid of a task, or one clear error: for a handle of a reaped child, too, since its pid is free."""
    pid = task if isinstance(task, int) else getattr(task, "pid", None)
    if pid is None or isinstance(pid, bool):
        raise TypeError(f"invalid task: expected a pid or an object with one, got {task!r:.80}")
    if index(pid) <= 0:
        raise ValueError(f"invalid pid: expected an int above 0, got {pid}")
    if getattr(task, "exit_status", None) is not None:
        raise ended(index(pid))
    return index(pid)


def start_of(pid: int) -> str:
    """When a process was made that has memory to look at.

    Raises ProcessLookupError when it has ended, ValueError for a thread of the kernel.
    """
    words = procfs.stat_if_any(pid)
    if not words or words[procfs.STATE] in "ZX":
        raise ended(pid)
    if procfs.is_of_kernel(words):
        raise ValueError(
            f"invalid pid: expected a process, got {pid}, a thread of the kernel without memory"
        )
    return words[procfs.START_TIME]


def has_ended(pid: int) -> bool:
    """Whether it is gone, or a zombie."""
    return procfs.state(pid) in {"", "Z", "X"}


def ended(pid: int) -> ProcessLookupError:
    """The error for a process that is not there, or that has ended and was not reaped."""
    return ProcessLookupError(errno.ESRCH, f"there is no process {pid}, or it has ended")


def not_permitted(pid: int) -> PermissionError:
    """The error for a process of somebody else's, or one that has made itself unreadable."""
    return PermissionError(
        errno.EACCES,
        f"process {pid} may not be read: expected a dumpable one of your own user, or CAP_SYS_PTRACE",
    )
