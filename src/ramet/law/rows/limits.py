"""Memory, credentials and limits: copy_process up to the copies of what the caller has."""

from ...flags import CloneFlag
from .. import conditions as ask
from ..rule import CLONE_CALLS, UNSHARE, Rule

_NEWUSER = CloneFlag.NEWUSER.value
_ALL = CLONE_CALLS | UNSHARE

ROWS = (
    Rule(
        id="E1",
        when=ask.signal_pending,
        errno=None,
        kernel_function="copy_process",
        since="2.6.17",
        verified=False,
        unseen=True,
        sentence=(
            "a pending signal is delivered to the caller first, and the kernel then restarts the "
            "call by itself (ERESTARTNOINTR)"
        ),
        remedy="no change is needed",
    ),
    Rule(
        id="E2",
        when=ask.no_memory_for_task,
        errno="ENOMEM",
        kernel_function="dup_task_struct",
        since="1.0",
        verified=False,
        unseen=True,
        sentence="there is no memory for the task and its kernel stack",
        remedy="free memory, or raise the memory limit of the cgroup",
    ),
    Rule(
        id="F0",
        all_of=_NEWUSER,
        when=ask.unprivileged,
        errno="EPERM",
        kernel_function="do_fork",
        since="2.6.23",
        until="3.8",
        verified=False,
        sentence="CLONE_NEWUSER needed CAP_SYS_ADMIN before Linux 3.8",
        remedy="run privileged, or on a later kernel",
    ),
    Rule(
        id="F1",
        calls=_ALL,
        all_of=_NEWUSER,
        when=ask.user_ns_too_deep,
        errno="ENOSPC",
        kernel_function="create_user_ns",
        since="4.9",
        source="kernel/user_namespace.c",
        unseen=True,
        sentence="user namespaces are nested at most 33 deep below the first",
        remedy="drop CLONE_NEWUSER, or make the call in a namespace above",
    ),
    Rule(
        id="F1",
        calls=_ALL,
        all_of=_NEWUSER,
        when=ask.user_ns_too_deep,
        errno="EUSERS",
        kernel_function="create_user_ns",
        since="3.11",
        until="4.9",
        source="kernel/user_namespace.c",
        verified=False,
        unseen=True,
        sentence="user namespaces are nested at most 33 deep below the first",
        remedy="drop CLONE_NEWUSER, or make the call in a namespace above",
    ),
    Rule(
        id="F2",
        calls=_ALL,
        all_of=_NEWUSER,
        when=ask.user_ns_exhausted,
        errno="ENOSPC",
        kernel_function="create_user_ns",
        since="4.9",
        source="kernel/ucount.c",
        unseen=True,
        sentence="the user has as many user namespaces as max_user_namespaces allows",
        remedy="end unused ones, or raise /proc/sys/user/max_user_namespaces",
    ),
    Rule(
        id="F3",
        calls=_ALL,
        all_of=_NEWUSER,
        when=ask.chrooted,
        errno="EPERM",
        kernel_function="create_user_ns",
        since="3.9",
        source="kernel/user_namespace.c",
        unseen=True,
        sentence=(
            "CLONE_NEWUSER is refused after chroot(), since the rights in a new user namespace "
            "would be a way out of it"
        ),
        remedy="use pivot_root in a mount namespace instead of chroot",
    ),
    Rule(
        id="F4",
        calls=_ALL,
        all_of=_NEWUSER,
        when=ask.ids_unmapped,
        errno="EPERM",
        kernel_function="create_user_ns",
        since="3.8",
        source="kernel/user_namespace.c",
        unseen=True,
        sentence=(
            "the caller's effective user and group must be mapped in its own user namespace, "
            "since they own the new one"
        ),
        remedy="write /proc/PID/uid_map and gid_map of the caller's namespace first",
    ),
    *(
        Rule(
            id="F5",
            calls=_ALL,
            all_of=_NEWUSER,
            when=when,
            errno=answer,
            kernel_function="security_create_user_ns",
            since="6.1",
            source="security/security.c",
            verified=False,
            unseen=True,
            sentence=(
                "a security module (SELinux, AppArmor, BPF) forbids this program to make a user namespace"
            ),
            remedy="ask for a profile that allows it",
        )
        for answer, when in (("EPERM", ask.lsm_refuses_user_ns), ("EACCES", ask.lsm_denies_user_ns))
    ),
    Rule(
        id="G1",
        when=ask.too_many_processes,
        errno="EAGAIN",
        kernel_function="copy_process",
        since="2.0",
        unseen=True,
        sentence=(
            "the user has as many tasks as RLIMIT_NPROC allows (root, CAP_SYS_RESOURCE and "
            "CAP_SYS_ADMIN are exempt)"
        ),
        remedy="wait for tasks to end, or raise RLIMIT_NPROC (ulimit -u)",
    ),
    Rule(
        id="G2",
        when=ask.too_many_threads,
        errno="EAGAIN",
        kernel_function="copy_process",
        since="2.4",
        verified=False,
        unseen=True,
        sentence="the system has as many tasks as kernel.threads-max allows",
        remedy="wait for tasks to end, or raise /proc/sys/kernel/threads-max",
    ),
    Rule(
        id="G3",
        all_of=CloneFlag.PARENT_SETTID.value,
        when=ask.parent_tid_unwritable,
        errno="EFAULT",
        kernel_function="copy_process",
        since="2.5.49",
        until="2.6.24",
        verified=False,
        sentence="CLONE_PARENT_SETTID wrote the tid early, and a bad address was an error",
        remedy="give the address of an int",
    ),
    Rule(
        id="H1",
        when=ask.deadline_scheduled,
        errno="EAGAIN",
        kernel_function="sched_fork",
        since="3.14",
        source="kernel/sched/core.c",
        verified=False,
        unseen=True,
        sentence=(
            "a SCHED_DEADLINE caller cannot make tasks, since its reserved time cannot be given twice"
        ),
        remedy="set SCHED_FLAG_RESET_ON_FORK, or change the policy first",
    ),
    *(
        Rule(
            id="H2",
            when=when,
            errno=answer,
            kernel_function="security_task_alloc",
            since="2.6",
            source="security/security.c",
            verified=False,
            unseen=True,
            sentence="a security module (SELinux, AppArmor, BPF) forbids this program to make tasks",
            remedy="ask for a profile that allows it",
        )
        for answer, when in (("EPERM", ask.lsm_refuses_task), ("EACCES", ask.lsm_denies_task))
    ),
    Rule(
        id="I1",
        all_of=CloneFlag.FS.value,
        when=ask.sharer_execs,
        errno="EAGAIN",
        kernel_function="copy_fs",
        since="2.6.30",
        verified=False,
        unseen=True,
        sentence=(
            "CLONE_FS is refused while another task that shares the directories is inside execve, "
            "which has already counted the tasks that share them"
        ),
        remedy="try again",
    ),
    Rule(
        id="I2",
        none_of=CloneFlag.VM.value,
        when=ask.no_memory_for_copy,
        errno="ENOMEM",
        kernel_function="copy_mm",
        since="1.0",
        verified=False,
        unseen=True,
        sentence="there is no memory for a copy of the caller's memory, or overcommit forbids it",
        remedy="add CLONE_VM (vfork, posix_spawn), which copies nothing",
    ),
)
