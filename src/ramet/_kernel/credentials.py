"""What rights a child has, compared with its parent's: they decide how its result is read.

Until a task is reaped, /proc shows its ids, groups, capabilities, no_new_privs, seccomp filters, security
label, and its user and pid namespaces; its other namespaces only while it lives. The core makes the same
comparison (native/parent/credentials.c); this module names the differences.
"""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from . import procfs
from .names import WALL

# Fields of /proc/PID/status. Installed filters are still counted after the end.
_FIELDS = frozenset(
    {"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    | {"NoNewPrivs", "Seccomp", "Seccomp_filters"}
)
_LASTING_NAMESPACES = ("user", "pid")
_FORKED_WITHOUT_EXEC = 0x40  # PF_FORKNOEXEC
_MOST_LABEL_BYTES = 1 << 12


def doubt(pid: int, pidfd: int | None, *, in_any_pid_namespace: bool = False) -> str:
    """Why a child that has ended is less trusted than the calling thread; empty when it is not.

    in_any_pid_namespace: its own may be another than the thread's.

    To be called before the child is reaped: rights that cannot be read are a reason, too. So is a
    program that the child has executed, with whatever rights.
    Source: proc_pid_status(5), namespaces(7).
    """
    try:
        return _doubt(pid, pidfd, in_any_pid_namespace)
    except OSError as error:
        if error.errno != errno.EMFILE:
            return f"its rights cannot be read ({error})"
    try:
        with _one_more_descriptor():
            return _doubt(pid, pidfd, in_any_pid_namespace)
    except (OSError, ValueError) as error:
        return f"its rights cannot be read ({error})"


def are_ours(pid: int, pidfd: int | None) -> bool:
    """Whether a process has the rights of the calling thread, whatever program it has executed."""
    try:
        theirs = _rights(str(_number_in_proc(pid, pidfd)))
        return not _difference(theirs, _rights("thread-self"))
    except OSError:
        return False


def _doubt(pid: int, pidfd: int | None, in_any_pid_namespace: bool) -> str:
    number = _number_in_proc(pid, pidfd)
    theirs = _rights(str(number))
    has_executed = _has_executed(number)
    _require_unreaped(pid, pidfd)  # else the pid may be another task's by now
    ours = _rights("thread-self")
    if in_any_pid_namespace:
        theirs["pid namespace"] = ours["pid namespace"]
    return "it has executed a program" if has_executed else _difference(theirs, ours)


def _number_in_proc(pid: int, pidfd: int | None) -> int:
    """The pid, or what /proc has in its place where it is of a pid namespace above ours."""
    return pid if procfs.shows_own_pids() or pidfd is None else procfs.number_of(pidfd)


@contextmanager
def _one_more_descriptor() -> Iterator[None]:
    """Raise the soft limit by one while all descriptors below it are in use."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft + 1, hard))  # ValueError at the hard limit
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _rights(task: str) -> dict[str, str]:
    directory = f"/proc/{task}"
    rights = {name: value for name, value in procfs.status(task).items() if name in _FIELDS}
    if "CapEff" not in rights:
        raise OSError(errno.ENODATA, "no capabilities in it", f"{directory}/status")
    for name in _LASTING_NAMESPACES:
        rights[f"{name} namespace"] = _namespace(f"{directory}/ns/{name}")
    rights["security label"] = _label(f"{directory}/attr/current")
    return rights


def _namespace(path: str) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        if os.path.lexists(path):  # the kernel has such namespaces, and does not show this one
            raise
        return "none"


def _label(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as label:
            return label.read(_MOST_LABEL_BYTES).decode(errors="replace")
    except OSError as error:  # no security module has labels
        return str(error.errno)


def _has_executed(pid: int) -> bool:
    return not int(procfs.stat(pid)[procfs.FLAGS]) & _FORKED_WITHOUT_EXEC


def _require_unreaped(pid: int, pidfd: int | None) -> None:
    if pidfd is not None:
        try:
            signal.pidfd_send_signal(pidfd, 0)
        except ProcessLookupError:
            raise
        except OSError:  # a filter may hide that call; who asks may wait for it, mostly
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT | WALL)
    else:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT | WALL)


def _difference(theirs: dict[str, str], ours: dict[str, str]) -> str:
    differing = [name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name)]
    return ", ".join(
        f"its {name} is {theirs.get(name)!r}, the caller's is {ours.get(name)!r}"
        for name in sorted(differing)
    )
