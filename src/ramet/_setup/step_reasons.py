"""Why a step on the way to a program is likely to have failed: an errno alone rarely says."""

import errno
import os
from collections.abc import Mapping, Sequence

_NEEDS = "it needs {} in the user namespace that owns it"

_REASONS: Mapping[tuple[str, int], str] = {
    ("execve", errno.ENOENT): "no such program, or the interpreter of its first line is missing",
    ("execve", errno.EACCES): (
        "it may not be executed: a mode bit, a noexec mount, or a directory before it that may not be "
        "searched"
    ),
    ("execve", errno.ENOEXEC): "it is neither a binary of this machine nor a script with #!",
    ("execve", errno.E2BIG): "argv and environment together are too large",
    ("execve", errno.ETXTBSY): "somebody has it open for writing",
    ("execve", errno.EAGAIN): "its user has more processes than RLIMIT_NPROC allows",
    ("execve", errno.ELOOP): "symbolic links, or interpreters, lead to each other",
    ("execve", errno.EPERM): "a filter or a security module forbids it",
    ("execve", errno.EINVAL): "its file names more than one interpreter",
    ("chdir", errno.ENOENT): "no such directory, as seen from the child's root",
    ("chroot", errno.EPERM): _NEEDS.format("CAP_SYS_CHROOT"),
    ("setgroups", errno.EPERM): (
        "it needs CAP_SETGID, and a user namespace in which setgroups is not denied"
    ),
    ("setresgid", errno.EPERM): _NEEDS.format("CAP_SETGID"),
    ("setresgid", errno.EINVAL): "the gid is not mapped in the child's user namespace",
    ("setresuid", errno.EPERM): _NEEDS.format("CAP_SETUID"),
    ("setresuid", errno.EINVAL): "the uid is not mapped in the child's user namespace",
    ("setresuid", errno.EAGAIN): "that user has more processes than RLIMIT_NPROC allows",
    ("setsid", errno.EPERM): "the child leads a process group already",
    (
        "setpgid",
        errno.EPERM,
    ): "no such process group in its session, or the child leads its session",
    ("ioctl", errno.EPERM): "the terminal is another session's, or the child leads no session",
    ("ioctl", errno.ENOTTY): "the descriptor is no terminal, or not the child's controlling one",
    ("setrlimit", errno.EPERM): "raising a hard limit needs CAP_SYS_RESOURCE",
    ("setrlimit", errno.EINVAL): "the soft limit is above the hard one",
    ("sigaction", errno.EINVAL): "what this signal does nobody may change",
    ("setpriority", errno.EACCES): "a higher priority needs CAP_SYS_NICE or RLIMIT_NICE",
    ("sched_setscheduler", errno.EPERM): "real-time policies need CAP_SYS_NICE or RLIMIT_RTPRIO",
    ("sched_setattr", errno.EPERM): "a deadline needs CAP_SYS_NICE",
    ("sched_setattr", errno.EINVAL): "runtime <= deadline <= period must hold, from 1024 ns on",
    ("sched_setattr", errno.EBUSY): "the processors have not that much time left",
    ("sched_setaffinity", errno.EINVAL): "none of the processors is there for this cpuset",
    ("ioprio_set", errno.EPERM): "the real-time class needs CAP_SYS_NICE or CAP_SYS_ADMIN",
    ("write cgroup.procs", errno.EACCES): "the directory's file may not be written by this user",
    ("write cgroup.procs", errno.ENOENT): "the directory is no cgroup, or has been removed",
    ("write oom_score_adj", errno.EACCES): "lowering it needs CAP_SYS_RESOURCE",
    ("write uid_map", errno.EPERM): "more than one's own id needs CAP_SETUID outside",
    ("write gid_map", errno.EPERM): "more than one's own id needs CAP_SETGID outside",
    ("write uid_map", errno.EINVAL): "lines overlap, or are too many",
    ("write gid_map", errno.EINVAL): "lines overlap, or are too many",
    ("setns", errno.EPERM): _NEEDS.format("CAP_SYS_ADMIN"),
    ("setns", errno.EINVAL): "the descriptor is of another kind of namespace, or it is one's own",
    ("setns", errno.ESRCH): "the process whose namespace it is has ended",
    ("sethostname", errno.EPERM): _NEEDS.format("CAP_SYS_ADMIN"),
    ("bring up lo", errno.EPERM): _NEEDS.format("CAP_NET_ADMIN"),
    (
        "capset",
        errno.EPERM,
    ): "a set may only be made smaller, within what is permitted and bounding",
    ("prctl", errno.EPERM): (
        "a capability must be permitted and inheritable to become ambient; "
        "the bounding set and the secure bits need CAP_SETPCAP"
    ),
    ("dup3", errno.EBADF): "the descriptor is not open, or above RLIMIT_NOFILE",
    ("fcntl", errno.EBADF): "the descriptor is not open",
    ("fcntl", errno.EMFILE): "no number is free below RLIMIT_NOFILE",
    ("fcntl", errno.EINVAL): "the number is above RLIMIT_NOFILE",
}


def likely_reason(step: str, number: int) -> str:
    """A sentence for the errno of a step; empty where there is nothing to add to its own text."""
    return _REASONS.get((step, number)) or _REASONS.get((step.partition("(")[0], number), "")


def why_not_executed(paths: Sequence[bytes]) -> str:
    """What the files of these names tell of an execve's EACCES; empty where it is nothing.

    paths: where the program was looked for, as this process would find them.
    """
    if any(map(os.path.isdir, paths)):
        return "it is a directory"
    if len(paths) > 1 and not any(map(os.path.exists, paths)):
        return "no directory of PATH is seen to have it, and not all may be searched"
    return ""
