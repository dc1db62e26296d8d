"""The thread that asks, as the law describes a caller: its rights, namespaces and limits, by /proc."""

import fcntl
import os

from .._kernel import procfs
from .._kernel.names import CAPABILITIES, SCHEDULERS
from ..law import Caller
from .this_machine import end_of_user_space

_ASKED_FOR = ("SYS_ADMIN", "SYS_RESOURCE", "CHECKPOINT_RESTORE")  # by the rules
_INITIAL_USER_NS, _INITIAL_PID_NS = 0xEFFFFFFD, 0xEFFFFFFC
_KINDS = ("mnt", "uts", "ipc", "pid", "cgroup", "net", "time")
_NAMESPACE_LIMITS = ("user", *_KINDS)
_NS_GET_USERNS = 0xB701  # linux/nsfs.h


def read_caller() -> Caller:
    """The calling thread; see Caller.current()."""
    status = procfs.status("thread-self")
    effective = int(status.get("CapEff", "0"), 16)
    held = {f"CAP_{name}" for name in _ASKED_FOR if effective >> CAPABILITIES[name] & 1}
    return Caller(
        privileged="CAP_SYS_ADMIN" in held,
        capabilities=frozenset(held),
        chrooted=_is_chrooted(),
        ids_mapped=_is_mapped("uid_map", os.geteuid()) and _is_mapped("gid_map", os.getegid()),
        user_ns_switched_off=_has_user_ns_switched_off("CAP_SYS_ADMIN" in held),
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
        leader_exit_signal=int(procfs.stat("self")[procfs.EXIT_SIGNAL]),
        deadline_policy=os.sched_getscheduler(0) == SCHEDULERS["DEADLINE"],
        threads=int(status.get("Threads", "1")),
        exhausted_namespaces=frozenset(filter(_is_forbidden, _NAMESPACE_LIMITS)),
        descriptors_exhausted=len(os.listdir("/proc/self/fd")) > os.sysconf("SC_OPEN_MAX"),
        machine=os.uname().machine,
        task_size=end_of_user_space(os.uname().machine),
        page_size=os.sysconf("SC_PAGE_SIZE"),
        pid_max=_number("/proc/sys/kernel/pid_max", Caller().pid_max),
    )


def has_filter() -> bool:
    """Whether a seccomp filter may refuse system calls of this thread. Source: proc_pid_status(5)."""
    return procfs.status("thread-self").get("Seccomp", "0") != "0"


def _namespace(name: str) -> int:
    """Its inode number; 0 when the kernel has no such namespaces, or this one has no init yet."""
    try:
        return os.stat(f"/proc/thread-self/ns/{name}").st_ino
    except OSError:
        return 0


def _is_outer(name: str) -> bool:
    """Whether its owner is a user namespace above this process's own: ioctl_nsfs(2)."""
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
    """Whether no mount is at "/": true of a root directory that is not a mount point."""
    with open("/proc/self/mountinfo") as mounts:
        return not any(line.split(" ")[4] == "/" for line in mounts)


def _is_mapped(table: str, number: int) -> bool:
    with open(f"/proc/self/{table}") as lines:
        return any(
            int(first) <= number < int(first) + int(length)
            for first, _, length in map(str.split, lines)
        )


def _has_user_ns_switched_off(privileged: bool) -> bool:
    """By the sysctl of Debian's kernels and some others."""
    return not privileged and _number("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0


def _is_forbidden(kind: str) -> bool:
    return _number(f"/proc/sys/user/max_{kind}_namespaces", 1) == 0


def _number(path: str, otherwise: int) -> int:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return otherwise
