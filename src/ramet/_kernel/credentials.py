"""What a task may do, as the kernel tells it: by this its parent judges what it has written.

Of a task that has ended and has not been reaped the kernel still tells its ids, groups,
capabilities, no_new_privs, seccomp filters, security label, and its user and pid namespaces; of its
other namespaces it tells while the task lives. The core asks the same (native/parent/credentials.c); this
is for what differs, in words.
"""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

# Lines of /proc/PID/status. A filter that was installed is counted after the end as well.
_LINES = frozenset(
    {"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    | {"NoNewPrivs", "Seccomp", "Seccomp_filters"}
)
_LASTING_NAMESPACES = ("user", "pid")
_FLAGS_FIELD = 6  # of /proc/PID/stat, counted from the one behind the name
_FORKED_WITHOUT_EXEC = 0x40  # PF_FORKNOEXEC
_MOST_BYTES = 1 << 16
_WALL = 0x40000000  # whatever its exit signal


def doubt(pid: int, pidfd: int | None) -> str:
    """Why a child that has ended is less trusted than the calling thread; empty when it is not.

    What cannot be read is a reason as well: so this is asked before the child is reaped. A child
    that has executed a program is one, whatever that program's rights were.
    Source: proc_pid_status(5), namespaces(7).
    """
    try:
        return _doubt(pid, pidfd)
    except OSError as error:
        if error.errno != errno.EMFILE:
            return f"its rights cannot be read ({error})"
    try:
        with _room_for_one_more():
            return _doubt(pid, pidfd)
    except (OSError, ValueError) as error:
        return f"its rights cannot be read ({error})"


def _doubt(pid: int, pidfd: int | None) -> str:
    theirs = _rights(str(pid))
    has_executed = _has_executed(pid)
    _require_unreaped(pid, pidfd)  # else all this may be another's
    ours = _rights("thread-self")
    return "it has executed a program" if has_executed else _difference(theirs, ours)


@contextmanager
def _room_for_one_more() -> Iterator[None]:
    """For a descriptor above the soft limit, where all below it are in use."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft + 1, hard))  # ValueError at the hard limit
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _rights(task: str) -> dict[str, str]:
    directory = f"/proc/{task}"
    rights = {}
    for line in _read(f"{directory}/status").decode(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name in _LINES:
            rights[name] = " ".join(value.split())
    if "CapEff" not in rights:
        raise OSError(errno.ENODATA, "no rights are told", f"{directory}/status")
    for name in _LASTING_NAMESPACES:
        rights[f"{name} namespace"] = _namespace(f"{directory}/ns/{name}")
    rights["security label"] = _label(f"{directory}/attr/current")
    return rights


def _namespace(path: str) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        if os.path.lexists(path):  # the kernel has such namespaces, and does not tell
            raise
        return "none"


def _label(path: str) -> str:
    try:
        return _read(path).decode(errors="replace")
    except OSError as error:  # no security module has labels
        return str(error.errno)


def _has_executed(pid: int) -> bool:
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return not int(fields[_FLAGS_FIELD]) & _FORKED_WITHOUT_EXEC


def _require_unreaped(pid: int, pidfd: int | None) -> None:
    if pidfd is not None:
        signal.pidfd_send_signal(pidfd, 0)
    else:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _MOST_BYTES)
    finally:
        os.close(descriptor)


def _difference(theirs: dict[str, str], ours: dict[str, str]) -> str:
    differing = [name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name)]
    return ", ".join(
        f"its {name} is {theirs.get(name)!r}, here it is {ours.get(name)!r}"
        for name in sorted(differing)
    )
