"""Attaching a tracer to what is there already, and why that may not be possible."""

import errno
import os
from threading import get_native_id

from ..._core import Tracer
from ..._kernel import procfs

_YAMA = "/proc/sys/kernel/yama/ptrace_scope"
_NOBODY = 3  # kernel.yama.ptrace_scope: not even with CAP_SYS_PTRACE


def seize_process(tracer: Tracer, pid: int) -> None:
    """Attach the calling thread to all threads of a process, also to those that begin meanwhile.

    Raises OSError, with the reason and the remedy.
    Source: ptrace(2), PTRACE_SEIZE.
    """
    tried: set[str] = set()
    is_there = False
    while missing := set(procfs.threads(pid)) - tried:
        for tid in missing:
            is_there |= _seize(tracer, int(tid), pid)
        tried |= missing
    if not is_there:
        why = f"process {pid} has ended, and its parent has not waited for it yet"
        raise ProcessLookupError(errno.ESRCH, why if tried else f"there is no process {pid}")


def _seize(tracer: Tracer, tid: int, pid: int) -> bool:
    """Whether it is traced; not one that has ended, as the main thread may have while others go on."""
    try:
        tracer.seize(tid)
    except ProcessLookupError:  # it has ended
        return False
    except PermissionError:
        if _tracer_of(tid) == get_native_id():  # its maker was seized before, and so is it
            return True
        if procfs.state(tid) in {"", "Z", "X"}:
            return False
        raise PermissionError(errno.EPERM, why_refused(pid)) from None
    return True


def why_refused(pid: int) -> str:
    """Why a process may not be traced by this one, and what to do."""
    if _process_of(pid) == os.getpid():
        return f"process {pid} is this one, and no process traces itself: trace it from another"
    if procfs.is_of_kernel(procfs.stat_if_any(pid)):
        return f"process {pid} is a thread of the kernel, which nobody may trace"
    other = _tracer_of(pid)
    if other:
        return (
            f"process {pid} is traced by process {_process_of(other)} already, and has one tracer at a "
            "time: end that one"
        )
    scope = _yama()
    if scope == _NOBODY:
        return "kernel.yama.ptrace_scope is 3: nobody may trace on this machine until it is started anew"
    if scope and os.geteuid() != 0:
        return (
            f"kernel.yama.ptrace_scope is {scope}: only root, and a process with CAP_SYS_PTRACE, may "
            f"attach to process {pid}; start the program by 'ramet trace', or use sudo"
        )
    return (
        f"process {pid} may not be traced: it is another user's, has more rights than you, or a filter of "
        "system calls forbids ptrace(2); CAP_SYS_PTRACE is needed, which root has, and a container with "
        "--cap-add SYS_PTRACE"
    )


def why_not_traced_here() -> str:
    """Why a child of this process's own may not be traced."""
    if _yama() in {_NOBODY - 1, _NOBODY}:
        return f"kernel.yama.ptrace_scope is {_yama()}: " + (
            "only a process with CAP_SYS_PTRACE may trace: use sudo"
            if _yama() == _NOBODY - 1
            else "nobody may trace on this machine until it is started anew"
        )
    return (
        "ptrace(2) is forbidden here, by a filter of system calls such as a container's: it needs "
        "--cap-add SYS_PTRACE, or another seccomp profile"
    )


def _process_of(task: int) -> int:
    try:
        return int(procfs.status(task).get("Tgid", task))
    except OSError:
        return task


def _tracer_of(task: int) -> int:
    """The thread that traces it, 0 for none."""
    try:
        return int(procfs.status(task).get("TracerPid", "0"))
    except OSError:
        return 0


def _yama() -> int:
    try:
        with open(_YAMA, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0
