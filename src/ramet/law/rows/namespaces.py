"""New namespaces: copy_namespaces and what it calls."""

from ...flags import CloneFlag
from .. import conditions as ask
from ..rule import CLONE_CALLS, UNSHARE, Rule

NEWUSER = CloneFlag.NEWUSER.value
NEWPID = CloneFlag.NEWPID.value
# All that need CAP_SYS_ADMIN; NEWUSER needs nothing.
PRIVILEGED = sum(
    flag.value
    for flag in (
        CloneFlag.NEWNS,
        CloneFlag.NEWUTS,
        CloneFlag.NEWIPC,
        CloneFlag.NEWPID,
        CloneFlag.NEWNET,
        CloneFlag.NEWCGROUP,
        CloneFlag.NEWTIME,
        CloneFlag.EMPTY_MNTNS,
    )
)
# A bit of another flag's in clone(): include/uapi/linux/sched.h.
UNSHARE_EMPTY_MNTNS = 0x100000
_PROXY = "kernel/nsproxy.c"
_PID_NAMESPACE = "kernel/pid_namespace.c"

# unshare() comes to these by the same functions, so they are rows for it too.
_ALL = CLONE_CALLS | UNSHARE

# fmt: off
ROWS = (
    Rule(
        id="J1", calls=_ALL, kernel_function="copy_namespaces", source=_PROXY, since="2.4.19",
        errno="EPERM", unseen=True,
        any_of=PRIVILEGED, none_of=NEWUSER, when=ask.unprivileged,
        sentence="a new namespace needs CAP_SYS_ADMIN in the user namespace that will own it, "
                 "since it could deceive set-user-ID programs that run in it",
        remedy="add CLONE_NEWUSER, which comes with every capability in a new user namespace",
    ),
    Rule(
        id="J1", calls=UNSHARE, kernel_function="check_unshare_flags", since="7.1", errno="EPERM",
        unseen=True,
        all_of=UNSHARE_EMPTY_MNTNS, none_of=NEWUSER, when=ask.unprivileged,
        sentence="an empty mount namespace needs CAP_SYS_ADMIN in the user namespace that will own it, "
                 "as any new namespace does",
        remedy="add CLONE_NEWUSER, in whose new user namespace the caller has every capability",
    ),
    # Without CAP_SYS_ADMIN the kernel says EPERM first, unless a user namespace is asked for too.
    Rule(
        id="J2", kernel_function="copy_namespaces", source=_PROXY, since="2.6.26", certain=True,
        all_of=CloneFlag.NEWIPC.value | CloneFlag.SYSVSEM.value,
        sentence="CLONE_NEWIPC excludes CLONE_SYSVSEM, since the undo list names semaphores of "
                 "the old namespace",
        remedy="drop CLONE_SYSVSEM",
    ),
    Rule(
        id="J3", calls=_ALL, kernel_function="create_new_namespaces", source="kernel/ucount.c",
        since="4.9", errno="ENOSPC", unseen=True,
        any_of=PRIVILEGED, when=ask.namespaces_exhausted,
        sentence="the user has as many namespaces of a kind as max_*_namespaces allows (counted "
                 "in the order mnt, uts, ipc, pid, cgroup, net, time)",
        remedy="end unused ones, or raise the limit in /proc/sys/user",
    ),
    Rule(
        id="J4", calls=_ALL, kernel_function="copy_pid_ns", source=_PID_NAMESPACE, since="3.8",
        unseen=True,
        all_of=NEWPID, when=ask.children_go_elsewhere,
        sentence="CLONE_NEWPID is refused once unshare() or setns() gave the caller's children "
                 "another pid namespace than its own",
        remedy="make the call in a child, which is in that namespace",
    ),
    Rule(
        id="J5", calls=_ALL, kernel_function="create_pid_namespace", source=_PID_NAMESPACE,
        since="4.14", verified=False, unseen=True,
        all_of=NEWPID, when=ask.pid_ns_foreign,
        sentence="a pid namespace must belong to the user namespace of the one above it, or to "
                 "one below that",
        remedy="enter the user namespace that owns the caller's pid namespace",
    ),
    Rule(
        id="J6", calls=_ALL, kernel_function="create_pid_namespace", source=_PID_NAMESPACE,
        since="4.9", errno="ENOSPC", unseen=True,
        all_of=NEWPID, when=ask.pid_ns_too_deep,
        sentence="pid namespaces are nested at most 32 deep below the first",
        remedy="drop CLONE_NEWPID, or make the call in a namespace above",
    ),
    Rule(
        id="J6", calls=_ALL, kernel_function="create_pid_namespace", source=_PID_NAMESPACE,
        since="3.7", until="4.9", errno="EINVAL", verified=False, unseen=True,
        all_of=NEWPID, when=ask.pid_ns_too_deep,
        sentence="pid namespaces are nested at most 32 deep below the first",
        remedy="drop CLONE_NEWPID, or make the call in a namespace above",
    ),
)
# fmt: on
