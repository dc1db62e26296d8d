"""Memory, credentials and limits: copy_process up to the copies of what the caller has."""

from ...flags import CloneFlag
from .. import conditions as ask
from ..rule import CLONE_CALLS, UNSHARE, Rule

_NEWUSER = CloneFlag.NEWUSER.value
_ALL = CLONE_CALLS | UNSHARE

# fmt: off
ROWS = (
    Rule(
        id="E1", kernel_function="copy_process", since="2.6.17", errno=None, verified=False,
        unseen=True,
        when=ask.signal_pending,
        sentence="a pending signal is delivered to the caller first, and the kernel then "
                 "restarts the call by itself (ERESTARTNOINTR)",
        remedy="no change is needed",
    ),
    Rule(
        id="E2", kernel_function="dup_task_struct", since="1.0", errno="ENOMEM", verified=False,
        unseen=True,
        when=ask.no_memory_for_task,
        sentence="there is no memory for the task and its kernel stack",
        remedy="free memory, or raise the memory limit of the cgroup",
    ),
    Rule(
        id="F0", kernel_function="do_fork", since="2.6.23", until="3.8", errno="EPERM",
        verified=False,
        all_of=_NEWUSER, when=ask.unprivileged,
        sentence="CLONE_NEWUSER needed CAP_SYS_ADMIN before Linux 3.8",
        remedy="run privileged, or on a later kernel",
    ),
    Rule(
        id="F1", calls=_ALL, kernel_function="create_user_ns", source="kernel/user_namespace.c",
        since="4.9", errno="ENOSPC", unseen=True,
        all_of=_NEWUSER, when=ask.user_ns_too_deep,
        sentence="user namespaces are nested at most 33 deep below the first",
        remedy="drop CLONE_NEWUSER, or make the call in a namespace above",
    ),
    Rule(
        id="F1", calls=_ALL, kernel_function="create_user_ns", source="kernel/user_namespace.c",
        since="3.11", until="4.9", errno="EUSERS", verified=False, unseen=True,
        all_of=_NEWUSER, when=ask.user_ns_too_deep,
        sentence="user namespaces are nested at most 33 deep below the first",
        remedy="drop CLONE_NEWUSER, or make the call in a namespace above",
    ),
    Rule(
        id="F2", calls=_ALL, kernel_function="create_user_ns", source="kernel/ucount.c",
        since="4.9", errno="ENOSPC", unseen=True,
        all_of=_NEWUSER, when=ask.user_ns_exhausted,
        sentence="the user has as many user namespaces as max_user_namespaces allows",
        remedy="end unused ones, or raise /proc/sys/user/max_user_namespaces",
    ),
    Rule(
        id="F3", calls=_ALL, kernel_function="create_user_ns", source="kernel/user_namespace.c",
        since="3.9", errno="EPERM", unseen=True,
        all_of=_NEWUSER, when=ask.chrooted,
        sentence="CLONE_NEWUSER is refused after chroot(), since the rights in a new user "
                 "namespace would be a way out of it",
        remedy="use pivot_root in a mount namespace instead of chroot",
    ),
    Rule(
        id="F4", calls=_ALL, kernel_function="create_user_ns", source="kernel/user_namespace.c",
        since="3.8", errno="EPERM", unseen=True,
        all_of=_NEWUSER, when=ask.ids_unmapped,
        sentence="the caller's effective user and group must be mapped in its own user "
                 "namespace, since they own the new one",
        remedy="write /proc/PID/uid_map and gid_map of the caller's namespace first",
    ),
    *(
        Rule(
            id="F5", calls=_ALL, kernel_function="security_create_user_ns",
            source="security/security.c", since="6.1", errno=answer, verified=False, unseen=True,
            all_of=_NEWUSER, when=when,
            sentence="a security module (SELinux, AppArmor, BPF) forbids this program to make a "
                     "user namespace",
            remedy="ask for a profile that allows it",
        )
        for answer, when in (("EPERM", ask.lsm_refuses_user_ns), ("EACCES", ask.lsm_denies_user_ns))
    ),
    Rule(
        id="G1", kernel_function="copy_process", since="2.0", errno="EAGAIN", unseen=True,
        when=ask.too_many_processes,
        sentence="the user has as many tasks as RLIMIT_NPROC allows (root, CAP_SYS_RESOURCE and "
                 "CAP_SYS_ADMIN are exempt)",
        remedy="wait for tasks to end, or raise RLIMIT_NPROC (ulimit -u)",
    ),
    Rule(
        id="G2", kernel_function="copy_process", since="2.4", errno="EAGAIN", verified=False,
        unseen=True,
        when=ask.too_many_threads,
        sentence="the system has as many tasks as kernel.threads-max allows",
        remedy="wait for tasks to end, or raise /proc/sys/kernel/threads-max",
    ),
    Rule(
        id="G3", kernel_function="copy_process", since="2.5.49", until="2.6.24", errno="EFAULT",
        verified=False,
        all_of=CloneFlag.PARENT_SETTID.value, when=ask.parent_tid_unwritable,
        sentence="CLONE_PARENT_SETTID wrote the tid early, and a bad address was an error",
        remedy="give the address of an int",
    ),
    Rule(
        id="H1", kernel_function="sched_fork", source="kernel/sched/core.c", since="3.14",
        errno="EAGAIN", verified=False, unseen=True,
        when=ask.deadline_scheduled,
        sentence="a SCHED_DEADLINE caller cannot make tasks, since its reserved time cannot be given twice",
        remedy="set SCHED_FLAG_RESET_ON_FORK, or change the policy first",
    ),
    *(
        Rule(
            id="H2", kernel_function="security_task_alloc", source="security/security.c",
            since="2.6", errno=answer, verified=False, unseen=True,
            when=when,
            sentence="a security module (SELinux, AppArmor, BPF) forbids this program to make tasks",
            remedy="ask for a profile that allows it",
        )
        for answer, when in (("EPERM", ask.lsm_refuses_task), ("EACCES", ask.lsm_denies_task))
    ),
    Rule(
        id="I1", kernel_function="copy_fs", since="2.6.30", errno="EAGAIN", verified=False,
        unseen=True,
        all_of=CloneFlag.FS.value, when=ask.sharer_execs,
        sentence="CLONE_FS is refused while another task that shares the directories is inside "
                 "execve, which has already counted the tasks that share them",
        remedy="try again",
    ),
    Rule(
        id="I2", kernel_function="copy_mm", since="1.0", errno="ENOMEM", verified=False,
        unseen=True,
        none_of=CloneFlag.VM.value, when=ask.no_memory_for_copy,
        sentence="there is no memory for a copy of the caller's memory, or overcommit forbids it",
        remedy="add CLONE_VM (vfork, posix_spawn), which copies nothing",
    ),
)
# fmt: on
