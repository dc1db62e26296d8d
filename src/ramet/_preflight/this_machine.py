"""What the law cannot know by itself: this machine's kernel, and the process that asks."""

import errno
import fcntl
import functools
import os
import stat
from typing import TYPE_CHECKING, Any

from .. import law
from ..law import Call, Caller, Cgroup, Outcome
from ..law.caller import read_by

if TYPE_CHECKING:
    from ..law import Explanation

# linux/capability.h: those that a rule asks for.
_CAPABILITIES = {"CAP_SYS_ADMIN": 21, "CAP_SYS_RESOURCE": 24, "CAP_CHECKPOINT_RESTORE": 40}
_INITIAL_USER_NS, _INITIAL_PID_NS = 0xEFFFFFFD, 0xEFFFFFFC
_SCHED_DEADLINE = 6
_KINDS = ("mnt", "uts", "ipc", "pid", "cgroup", "net", "time")
_NAMESPACE_LIMITS = ("user", *_KINDS)
_NS_GET_USERNS = 0xB701  # linux/nsfs.h
_CSIGNAL_FIELD = 38


@functools.cache
def running_kernel() -> str:
    """The release of this machine's kernel, such as "6.18.2-generic": uname(2)."""
    return os.uname().release


def errno_name(number: int) -> str:
    """As Linux and the law have it, which for two names of one number is not always Python's."""
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, f"{number}")


def predict(
    flags: int,
    *,
    exit_signal: int | None = None,
    call: Call = "clone3",
    caller: Caller | None = None,
    kernel: str | None = None,
    **fields: Any,
) -> Outcome:
    """What the kernel will answer to such a request, worked out without asking it.

    As ramet.law.predict(), but for the kernel that runs here when none is named. The caller is a
    privileged one when nothing is said; ``ramet.law.Caller.current()`` is this process.

    >>> predict(CloneFlag.THREAD, kernel="6.18").errno
    'EINVAL'

    Source: clone(2), unshare(2), setns(2), kernel/fork.c.
    """
    return law.predict(
        flags,
        exit_signal=exit_signal,
        call=call,
        caller=caller,
        kernel=kernel or running_kernel(),
        **fields,
    )


def explain(
    request: int | str,
    *,
    exit_signal: int | None = None,
    call: Call | None = None,
    caller: Caller | None = None,
    kernel: str | None = None,
    **fields: Any,
) -> "Explanation":
    """What a request means, in words: what is shared, which rules it breaks, and what would mend it.

    As ramet.law.explain(), but for the kernel that runs here when none is named.

    Source: clone(2), unshare(2), setns(2), kernel/fork.c.
    """
    return law.explain(
        request,
        exit_signal=exit_signal,
        call=call,
        caller=caller,
        kernel=kernel or running_kernel(),
        **fields,
    )


# ---- this process


def read_caller() -> Caller:
    """This very thread; see Caller.current()."""
    status = _status()
    effective = int(status.get("CapEff", "0"), 16)
    held = {name for name, bit in _CAPABILITIES.items() if effective >> bit & 1}
    return Caller(
        privileged="CAP_SYS_ADMIN" in held,
        capabilities=frozenset(held),
        chrooted=_is_chrooted(),
        ids_mapped=_is_mapped("uid_map", os.geteuid()) and _is_mapped("gid_map", os.getegid()),
        lsm_on_user_ns=_denied_user_ns("CAP_SYS_ADMIN" in held),
        user_ns_depth=int(_namespace("user") not in {0, _INITIAL_USER_NS}),
        pid_ns_depth=max(
            len(status.get("NSpid", "1").split()) - 1,
            int(_namespace("pid") not in {0, _INITIAL_PID_NS}),
        ),
        pid_ns_init=os.getpid() == 1,
        children_pid_ns_differs=_namespace("pid") != _namespace("pid_for_children"),
        children_time_ns_differs=_namespace("time") != _namespace("time_for_children"),
        outer_namespaces=frozenset(filter(_is_outer, _KINDS)),
        traced=status.get("TracerPid", "0") != "0",
        leader_exit_signal=_leader_exit_signal(),
        deadline_policy=os.sched_getscheduler(0) == _SCHED_DEADLINE,
        threads=int(status.get("Threads", "1")),
        exhausted_namespaces=frozenset(filter(_is_forbidden, _NAMESPACE_LIMITS)),
        descriptors_exhausted=len(os.listdir("/proc/self/fd")) > os.sysconf("SC_OPEN_MAX"),
        machine=os.uname().machine,
        page_size=os.sysconf("SC_PAGE_SIZE"),
        pid_max=_number("/proc/sys/kernel/pid_max", Caller().pid_max),
    )


read_by(read_caller)


def has_filter() -> bool:
    """Whether a seccomp filter stands between this process and the kernel: proc_pid_status(5)."""
    return _status().get("Seccomp", "0") != "0"


def _status() -> dict[str, str]:
    with open("/proc/thread-self/status") as file:
        pairs = (line.partition(":") for line in file)
        return {name: value.strip() for name, _, value in pairs}


def _namespace(name: str) -> int:
    """Its number; 0 where this kernel has none, or where it has no init yet."""
    try:
        return os.stat(f"/proc/thread-self/ns/{name}").st_ino
    except OSError:
        return 0


def _is_outer(name: str) -> bool:
    """Whether it belongs to a user namespace outside of this process's own: ioctl_nsfs(2)."""
    try:
        namespace = os.open(f"/proc/thread-self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.close(fcntl.ioctl(namespace, _NS_GET_USERNS))
    except PermissionError:
        return True
    except OSError:  # before 4.9
        return False
    finally:
        os.close(namespace)
    return False


def _is_chrooted() -> bool:
    """Whether no mount is at "/": enough for a root that is no mount itself."""
    with open("/proc/self/mountinfo") as mounts:
        return not any(line.split(" ")[4] == "/" for line in mounts)


def _is_mapped(table: str, number: int) -> bool:
    with open(f"/proc/self/{table}") as lines:
        return any(
            int(first) <= number < int(first) + int(length)
            for first, _, length in map(str.split, lines)
        )


def _denied_user_ns(privileged: bool) -> str | None:
    """Debian's own switch, which answers as a security module would."""
    allowed = privileged or _number("/proc/sys/kernel/unprivileged_userns_clone", 1)
    return None if allowed else "EPERM"


def _leader_exit_signal() -> int:
    with open("/proc/self/stat") as file:
        # The name, in brackets, may itself hold spaces and brackets.
        return int(file.read().rpartition(")")[2].split()[_CSIGNAL_FIELD - 3])


def _is_forbidden(kind: str) -> bool:
    return _number(f"/proc/sys/user/max_{kind}_namespaces", 1) == 0


def _number(path: str, otherwise: int) -> int:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return otherwise


# ---- a cgroup


def cgroup_behind(fd: int) -> Cgroup:
    """What the law asks of the directory behind a descriptor. Source: cgroup-v2(7)."""
    try:
        seen = os.fstat(fd)
    except OSError:
        return Cgroup(is_directory=False)
    if not stat.S_ISDIR(seen.st_mode):
        return Cgroup(is_directory=False)
    if os.readlink(f"/proc/self/fd/{fd}").endswith(" (deleted)"):
        return Cgroup(removed=True)
    return Cgroup(
        is_directory=os.access("cgroup.controllers", os.F_OK, dir_fd=fd),
        writable=os.access("cgroup.procs", os.W_OK, dir_fd=fd, effective_ids=True),
        domain_invalid=_read_in(fd, "cgroup.type") == "domain invalid",
        domain_controllers=bool(
            _read_in(fd, "cgroup.type") and _read_in(fd, "cgroup.subtree_control")
        ),
    )


def _read_in(directory: int, name: str) -> str:
    """Empty where there is no such file, as in the root cgroup."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return ""
    with open(file) as lines:
        return lines.read().strip()
