"""Every option as a row, from which all else that knows options is made.

The checks, the steps and their order, the conflicts, the likely reasons of a failure, the help, the page in
docs and the command line's options are made from these rows. Only a step that depends on several options
names them, in step_makers.py.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from .._kernel import names
from ..flags import CloneFlag as F
from . import checks
from . import step_makers as makers
from .checks import Kind, number
from .order import IDENTITY, LIMITS, NAMESPACES, PLACE, SESSION, SIGNALS, Step, call


class Shell(NamedTuple):
    """How an option is given to `ramet run`.

    ``value`` stands for its value in the help; without one it is a switch, which means ``means``.
    ``text`` says what it does where that is not what the option's own text says, and ``form`` is
    added to either. ``reader`` tells how its text is read where the kind does not. One with
    ``own_way`` becomes a value of the option by the command's own code.
    """

    name: str
    value: str = ""
    form: str = ""
    text: str = ""
    reader: str = ""
    repeated: bool = False
    means: object = True
    own_way: bool = False


class Option(NamedTuple):
    """An option.

    ``group``: the heading under which it stands. ``text``: what it does, in one sentence.
    ``needs``: what it needs, in words. ``nothing``: the value that asks for nothing.
    ``callers_with``: the flag with which it would change the caller, and why. ``functions_with``: the
    same for the child of a function, and a flag with which it would not. ``own_with``: the flag
    without which it would, and the kind of namespace that the child can join instead. ``why``: by a
    step's name and errno, why it is likely to have failed. ``replaces``: what does the same in a
    preexec_fn. ``of_programs``: functions do not take it. ``of_exec``: it is about the program, not
    about the task that runs it. ``may_change``: the same value may mean another thing later.
    ``opens``: a command opens descriptors for it, and keeps them.
    """

    name: str
    kind: Kind
    group: str
    text: str
    source: str
    steps: tuple[Step, ...] = ()
    needs: str = ""
    callers_with: tuple[F, str] | None = None
    functions_with: tuple[F, str, F] | None = None
    nothing: object = False
    own_with: tuple[F, str] | None = None
    why: Mapping[str, str] = {}
    shell: tuple[Shell, ...] = ()
    replaces: str = ""
    of_programs: bool = False
    of_exec: bool = False
    may_change: bool = False
    opens: bool = False

    def conditions(self) -> list[str]:
        """Everything that it needs, in words."""
        found = ["a program"] if self.of_programs else []
        found += [self.needs] if self.needs else []
        if self.own_with is not None:
            flag, kind = self.own_with
            found.append(f"{flag.name} or namespaces[{kind!r}]" if kind else str(flag.name))
        if self.callers_with is not None:
            found.append(f"no {self.callers_with[0].name}")
        return found


WHO = "Identity and rights"
LIMIT = "Limits and priorities"
SPACES = "Namespaces and the clone call"
WHERE = "Place and environment"
FILES = "Descriptors"
SESSIONS = "Session and signals"

_CALLERS = "it is the caller's as well; set it there"
_TABLE = (F.FILES, "the descriptor table is the caller's too; change it there", F(0))
_MEMORY = (
    "it is the caller's, as the memory is; set it there, or use vfork(), whose child has its own"
)
_PROCESS = "it is the whole process's; set it there"
_IN_OWNER = "it needs {} in the user namespace that owns it"
_SETPCAP = "it needs CAP_SETPCAP"
_OVERLAP = "lines overlap, or are too many"
_MOVED = (makers.own_files, makers.descriptors)
_SETSID = call(SESSION, "setsid", lambda _: ("SETSID",))

_ROWS = (
    Option("stdin", checks.target, FILES, "Standard input.", "dup3(2)", _MOVED, functions_with=_TABLE,
        shell=(Shell("--stdin", "FILE", reader="file to read", own_way=True),)),
    Option("stdout", checks.target, FILES, "Standard output.", "dup3(2)", _MOVED, functions_with=_TABLE,
        shell=(Shell("--stdout", "FILE", "'append:FILE' adds to it, 'fd:N' is descriptor N of the caller",
                reader="file to write", own_way=True),)),
    Option("stderr", checks.target, FILES, "Standard error.", "dup3(2)", _MOVED, functions_with=_TABLE,
        shell=(Shell("--stderr", "FILE", "as --stdout", reader="file to write", own_way=True),)),
    Option("fds", checks.targets, FILES,
        "What each descriptor of the child shall be: any renumbering, cycles included.", "dup3(2)", _MOVED,
        functions_with=_TABLE,
        why={"dup3 EBADF": "the descriptor is not open, or above RLIMIT_NOFILE",
            "fcntl EBADF": "the descriptor is not open",
            "fcntl EMFILE": "no number is free between the highest one named and RLIMIT_NOFILE: "
            "raise it (ulimit -n), or name lower numbers",
            "fcntl EINVAL": "the number is above RLIMIT_NOFILE"},
        shell=(Shell("--fd", "N=FILE", "a file to read, 'fd:M', 'write:FILE', 'append:FILE', 'both:FILE'",
                "Descriptor N.", "descriptor and file", repeated=True, own_way=True),),
        replaces="os.dup2"),
    Option("pass_fds", checks.descriptors, FILES, "Descriptors that stay open under their number.",
        "fcntl(2)", _MOVED, functions_with=_TABLE),
    Option("close_fds", checks.flag, FILES,
        "Whether all others above 2 are closed: True for a program, False for a function.",
        "close_range(2)", _MOVED, functions_with=_TABLE,
        shell=(Shell("--close-fds", text="Close all others above 2."),)),
    Option("cwd", checks.path, WHERE, "The working directory, within the root.", "chdir(2)",
        (makers.chdir,), callers_with=(F.FS, _CALLERS),
        why={"chdir ENOENT": "no such directory, as seen from the child's root"},
        shell=(Shell("--cwd", "DIR"),), replaces="os.chdir"),
    Option("root", checks.path, WHERE, "The root directory, within which cwd is then looked for.",
        "chroot(2)", (call(PLACE, "chroot", lambda path: ("CHROOT", path), 1, file=True), makers.chdir),
        needs="CAP_SYS_CHROOT", callers_with=(F.FS, _CALLERS),
        why={"chroot EPERM": _IN_OWNER.format("CAP_SYS_CHROOT")}, shell=(Shell("--root", "DIR"),),
        replaces="os.chroot"),
    Option("umask", checks.mode, WHERE, "The permission bits that new files do not get.", "umask(2)",
        (call(PLACE, "umask", lambda mask: ("UMASK", mask)),), callers_with=(F.FS, _CALLERS),
        shell=(Shell("--umask", "022", "in octal"),), replaces="os.umask"),
    Option("env", checks.environment, WHERE, "The environment; None is the caller's.", "environ(7)",
        shell=(Shell("--env", "NAME=VALUE", text="Set it.", reader="assignment", repeated=True,
                own_way=True), Shell("--unset-env", "NAME", text="Unset it.", repeated=True, own_way=True),
            Shell("--clear-env", text="Begin with an empty environment.", own_way=True)),
        of_programs=True, of_exec=True, may_change=True),
    Option("arg0", checks.path, WHERE, "The program's argv[0].", "execve(2)",
        shell=(Shell("--arg0", "NAME"),), of_programs=True, of_exec=True, may_change=True),
    Option("executable", checks.path, WHERE, "The file to run instead of argv's first word.", "execve(2)",
        why={"execve ENOENT": "no such program, or the interpreter of its first line is missing",
            "execve EACCES": (
                "it may not be executed: a mode bit, a noexec mount, or a directory before it that may "
                "not be searched"
            ), "execve ENOEXEC": "it is neither a binary of this machine nor a script with #!",
            "execve E2BIG": "argv and environment together are too large",
            "execve ETXTBSY": "it is open for writing",
            "execve EAGAIN": "its user has more processes than RLIMIT_NPROC allows",
            "execve ELOOP": "symbolic links, or interpreters, lead to each other",
            "execve EPERM": "a filter or a security module forbids it",
            "execve EINVAL": "its file names more than one interpreter"},
        shell=(Shell("--executable", "FILE"),), of_programs=True, of_exec=True, may_change=True),
    Option("start_new_session", checks.flag, SESSIONS, "Whether it leads a new session.", "setsid(2)",
        (_SETSID,), callers_with=(F.THREAD, _PROCESS),
        why={"setsid EPERM": "the child leads a process group already"},
        shell=(Shell("--new-session", text="It leads a new session: setsid(2)."),), replaces="os.setsid"),
    Option("process_group", number(0, names.LARGEST_INT), SESSIONS,
        "Its process group; 0 is one of its own.", "setpgid(2)",
        (call(SESSION, "setpgid", lambda group: ("SETPGID", 0, group)),),
        callers_with=(F.THREAD, _PROCESS),
        why={"setpgid EPERM": "no such process group in its session, or the child leads its session"},
        shell=(Shell("--process-group", "PGID"),), replaces="os.setpgid"),
    Option("controlling_terminal", checks.descriptor, SESSIONS,
        "A terminal that becomes the controlling one of a new session.", "ioctl_tty(2)",
        (_SETSID, call(SESSION, "ioctl(TIOCSCTTY)", lambda tty: ("IOCTL", tty, names.TIOCSCTTY, 0))),
        callers_with=(F.THREAD, _PROCESS),
        why={"ioctl EPERM": "the terminal is another session's, or the child leads no session",
            "ioctl ENOTTY": "the descriptor is no terminal, or not the child's controlling one"},
        shell=(Shell("--controlling-terminal", "TTY", reader="terminal", own_way=True),), may_change=True),
    Option("foreground", checks.descriptor, SESSIONS,
        "The terminal whose foreground process group the child's becomes.", "tcsetpgrp(3)",
        (call(SESSION, "ioctl(TIOCSPGRP)", lambda tty: ("FOREGROUND", tty)),),
        shell=(Shell("--foreground", text="Its process group (one of its own) has the terminal.",
                own_way=True),), may_change=True),
    Option("signal_mask", checks.signal_mask, SESSIONS,
        "The signals blocked at first; None is as the caller has it.", "sigprocmask(2)",
        (call(SIGNALS, "sigprocmask", lambda mask: ("SIGNAL_MASK", mask), 1),),
        shell=(Shell("--signal-mask", "SIGS|none", text="Signals blocked at first."),),
        replaces="signal.pthread_sigmask"),
    Option("ignored_signals", checks.signals, SESSIONS, "The signals that are ignored.", "sigaction(2)",
        (makers.dispositions,), callers_with=(F.SIGHAND, _CALLERS),
        why={"sigaction EINVAL": "what this signal does cannot be changed"},
        shell=(Shell("--ignore-signals", "SIGS", "HUP,PIPE"),), replaces="signal.signal(n, SIG_IGN)"),
    Option("default_signals", checks.signals, SESSIONS, "The signals that get their default action.",
        "sigaction(2)", (makers.dispositions,), callers_with=(F.SIGHAND, _CALLERS),
        shell=(Shell("--default-signals", "SIGS"),), replaces="signal.signal(n, SIG_DFL)"),
    Option("restore_signals", checks.flag, SESSIONS,
        "Whether the signals that Python ignores get their default: True for a program, False for a "
        "function.", "sigaction(2)", (makers.dispositions,)),
    Option("pdeathsig", checks.signal, SESSIONS,
        "The signal that it gets when the thread that made it ends; an exec of a program with "
        "set-user-ID, set-group-ID or capabilities clears it.", "PR_SET_PDEATHSIG(2const)",
        (makers.parent_death,),
        functions_with=(F.VM, "such a child always ends with its caller; leave it out", F(0)),
        shell=(Shell("--pdeathsig", "SIG", text="The signal that it gets when ramet ends."),),
        replaces="prctl's PR_SET_PDEATHSIG"),
    Option("die_with_parent", checks.flag, SESSIONS,
        "Whether it is killed when the caller's process ends, whatever its threads do; an exec clears it "
        "as it does pdeathsig.", "PR_SET_PDEATHSIG(2const)", (makers.parent_death,),
        callers_with=(F.PARENT, "its parent is the caller's parent; leave one of them out"),
        shell=(Shell("--die-with-parent", text="Killed when ramet ends."),), of_programs=True),
    Option("user", checks.user, WHO,
        "The user that it becomes; it stays in the caller's groups unless group, extra_groups or "
        "init_groups change them, of which a KeptGroupsWarning reminds root.", "setresuid(2)",
        (makers.keep_capabilities, call(IDENTITY, "setresuid", lambda uid: ("SETUID", uid, uid, uid), 5)),
        needs="CAP_SETUID",
        why={"setresuid EPERM": _IN_OWNER.format("CAP_SETUID"),
            "setresuid EINVAL": "the uid is not mapped in the child's user namespace",
            "setresuid EAGAIN": "that user has more processes than RLIMIT_NPROC allows"},
        shell=(Shell("--user", "NAME|ID", text="User; groups are not changed by it."),),
        replaces="os.setuid"),
    Option("init_groups", checks.flag, WHO,
        "Whether it gets the user's own group and groups, as at a login; group and extra_groups come "
        "before them.", "getgrouplist(3)", needs="user; CAP_SETGID",
        shell=(Shell("--init-groups", text="With --user: its group and groups, as at a login."),),
        replaces="os.initgroups", may_change=True),
    Option("group", checks.group, WHO, "The group that it becomes.", "setresgid(2)",
        (call(IDENTITY, "setresgid", lambda gid: ("SETGID", gid, gid, gid), 4),), needs="CAP_SETGID",
        why={"setresgid EPERM": _IN_OWNER.format("CAP_SETGID"),
            "setresgid EINVAL": "the gid is not mapped in the child's user namespace"},
        shell=(Shell("--group", "NAME|ID"),), replaces="os.setgid"),
    Option("extra_groups", checks.groups, WHO, "Its supplementary groups.", "setgroups(2)",
        (call(IDENTITY, "setgroups", lambda gids: ("SETGROUPS", len(gids), gids), 3),), needs="CAP_SETGID",
        why={
            "setgroups EPERM": (
                "it needs CAP_SETGID, and a user namespace in which setgroups is not denied"
            )}, shell=(Shell("--groups", "A,B|none"),), replaces="os.setgroups"),
    Option("no_new_privs", checks.flag, WHO, "Whether no exec gives more rights from then on.",
        "PR_SET_NO_NEW_PRIVS(2const)",
        (call(IDENTITY, "prctl(PR_SET_NO_NEW_PRIVS)",
                lambda _: ("PRCTL", names.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 8),),
        shell=(Shell("--no-new-privs", text="No exec gives more rights."),),
        replaces="prctl's PR_SET_NO_NEW_PRIVS"),
    Option("bounding_caps", checks.capabilities, WHO,
        "The whole of the bounding set, beyond which no exec gives a capability.", "capabilities(7)",
        (makers.bounding_set,), needs="CAP_SETPCAP", why={"prctl(PR_CAPBSET_DROP) EPERM": _SETPCAP},
        shell=(Shell("--bounding-caps", "CAPS", "NAME,... or none"),)),
    Option("permitted_caps", checks.capabilities, WHO,
        "The whole of the permitted set: a function's, and a program's only until its exec, which works "
        "it out anew: the ambient set, or for root, without NOROOT, the bounding one.", "capabilities(7)",
        (makers.keep_capabilities, makers.capability_sets),
        why={"capset EPERM": "a set may only be made smaller, within what is permitted and bounding"},
        shell=(Shell("--permitted-caps", "CAPS", text="The whole of the permitted set until its exec."),)),
    Option("inheritable_caps", checks.capabilities, WHO, "The whole of the inheritable set.",
        "capabilities(7)", (makers.keep_capabilities, makers.capability_sets),
        shell=(Shell("--inheritable-caps", "CAPS"),)),
    Option("ambient_caps", checks.capabilities, WHO,
        "The whole of the ambient set, which a program keeps through its exec.", "capabilities(7)",
        (makers.keep_capabilities, makers.capability_sets,
            call(IDENTITY, "prctl(PR_CAP_AMBIENT)", lambda kept: ("AMBIENT", kept), 7)),
        why={
            "prctl(PR_CAP_AMBIENT) EPERM": (
                "a capability must be permitted and inheritable to become ambient"
            )}, shell=(Shell("--ambient-caps", "CAPS"),)),
    Option("securebits", checks.securebits, WHO, "Its secure bits.", "capabilities(7)",
        (call(IDENTITY, "prctl(PR_SET_SECUREBITS)",
                lambda bits: ("PRCTL", names.PR_SET_SECUREBITS, bits), 1),),
        needs="CAP_SETPCAP", why={"prctl(PR_SET_SECUREBITS) EPERM": _SETPCAP},
        shell=(Shell("--securebits", "NAMES|N", "NOROOT,... or a number"),)),
    Option("sandbox", checks.sandbox, WHO,
        "What the child may see, call and use, and with it all that it starts.", "landlock(7)",
        (makers.enter_sandbox, makers.sandbox_paths, makers.sandbox_rules),
        needs="what Sandbox.plan() says", of_programs=True),
    Option("rlimits", checks.rlimits, LIMIT, "Resource limits.", "setrlimit(2)", (makers.rlimits,),
        callers_with=(F.THREAD, _PROCESS),
        why={"setrlimit EPERM": "raising a hard limit needs CAP_SYS_RESOURCE",
            "setrlimit EINVAL": "the soft limit is above the hard one"},
        shell=(Shell("--rlimit", "NAME=N[:N]", "NOFILE=64, AS=unlimited, CPU=10:20 (soft:hard)",
                "A resource limit.", repeated=True),), replaces="resource.setrlimit"),
    Option("cpu_affinity", checks.processors, LIMIT, "The processors on which it may run.",
        "sched_setaffinity(2)",
        (call(LIMITS, "sched_setaffinity",
                lambda mask: ("SCHED_SETAFFINITY", 0, len(mask), bytearray(mask))),),
        why={"sched_setaffinity EINVAL": "none of the processors is in its cpuset"},
        shell=(Shell("--cpus", "0-2,5"),), replaces="os.sched_setaffinity"),
    Option("scheduler", checks.scheduler, LIMIT, "Its scheduling policy.", "sched(7)", (makers.scheduler,),
        needs="CAP_SYS_NICE or RLIMIT_RTPRIO for real time",
        why={"sched_setscheduler EPERM": "real-time policies need CAP_SYS_NICE or RLIMIT_RTPRIO",
            "sched_setattr EPERM": "a deadline needs CAP_SYS_NICE",
            "sched_setattr EINVAL": "runtime <= deadline <= period must hold, from 1024 ns on",
            "sched_setattr EBUSY": "the processors have too little time left"},
        shell=(Shell("--scheduler", "POLICY[:N]",
                "other, batch, idle, fifo:10, rr:10, deadline:RUNTIME:DEADLINE:PERIOD (ns)"),),
        replaces="os.sched_setscheduler"),
    Option("nice", number(-20, 19), LIMIT, "Its niceness, which is not added to the caller's.",
        "setpriority(2)",
        (call(LIMITS, "setpriority", lambda nice: ("SETPRIORITY", os.PRIO_PROCESS, 0, nice)),),
        needs="CAP_SYS_NICE or RLIMIT_NICE to go below the caller's",
        why={"setpriority EACCES": "a higher priority needs CAP_SYS_NICE or RLIMIT_NICE"},
        shell=(Shell("--nice", "N", "-20 to 19"),), replaces="os.nice"),
    Option("io_priority", checks.io_priority, LIMIT, "Its class of I/O priority.", "ioprio_set(2)",
        (call(LIMITS, "ioprio_set", lambda one: ("IOPRIO_SET", names.IOPRIO_WHO_PROCESS, 0, one)),),
        needs="CAP_SYS_NICE or CAP_SYS_ADMIN for RT", callers_with=(F.IO, _CALLERS),
        why={"ioprio_set EPERM": "the real-time class needs CAP_SYS_NICE or CAP_SYS_ADMIN"},
        shell=(Shell("--io-priority", "CLASS[:N]", "idle, be:4, rt:0"),)),
    Option("oom_score_adj", number(-1000, 1000), LIMIT,
        "When it is killed for want of memory: -1000 is never, 1000 first.", "proc_pid_oom_score_adj(5)",
        (makers.oom_score_adj,), needs="CAP_SYS_RESOURCE to lower it", callers_with=(F.THREAD, _PROCESS),
        functions_with=(F.VM, _MEMORY, F.VFORK),
        why={"write oom_score_adj EACCES": "lowering it needs CAP_SYS_RESOURCE"},
        shell=(Shell("--oom-score-adj", "N"),)),
    Option("timer_slack_ns", number(1, (1 << 63) - 1), LIMIT,
        "By how many nanoseconds its timers may be late.", "PR_SET_TIMERSLACK(2const)",
        (call(LIMITS, "prctl(PR_SET_TIMERSLACK)",
                lambda slack: ("PRCTL", names.PR_SET_TIMERSLACK, slack)),),
        shell=(Shell("--timer-slack", "NS"),)),
    Option("aslr", checks.flag, LIMIT, "Whether its addresses are random.", "personality(2)",
        (makers.personality,), shell=(Shell("--no-aslr", text="Addresses are not random.", means=False),),
        may_change=True),
    Option("personality", number(0, (1 << 32) - 2), LIMIT, "The number of its execution domain.",
        "personality(2)", (makers.personality,),
        shell=(Shell("--personality", "N", "as in personality(2)"),), may_change=True),
    Option("cgroup", checks.cgroup, LIMIT,
        "The cgroup that it is made in; in one of version 1 it moves itself.", "cgroups(7)",
        (makers.cgroup,), needs="Linux 5.7, or the child moves itself",
        why={"write cgroup.procs EACCES": "the directory's file may not be written by this user",
            "write cgroup.procs ENOENT": "the directory is no cgroup, or has been removed"},
        shell=(Shell("--cgroup", "DIR"),), of_programs=True, may_change=True, opens=True),
    Option("flags", checks.flags, SPACES,
        "Clone flags, whose low bits may hold the exit signal, which an exec makes SIGCHLD.", "clone(2)",
        shell=(Shell("--new", "KIND,...", "user, pid, net, mnt, uts, ipc, cgroup, time", "New namespaces.",
                "kinds of namespaces", repeated=True),
            Shell("--flags", "FLAGS", "'CLONE_NEWNS|CLONE_IO'", "Any clone flags.", repeated=True)),
        replaces="os.unshare", of_programs=True),
    Option("uid_map", checks.id_map, SPACES, "The user ids of a new user namespace.", "user_namespaces(7)",
        (makers.id_maps,), needs="CAP_SETUID outside, or newuidmap, for more than one's own id",
        own_with=(F.NEWUSER, ""),
        why={"write uid_map EPERM": "more than one's own id needs CAP_SETUID outside",
            "write uid_map EINVAL": _OVERLAP},
        shell=(Shell("--map-root", text="A new user namespace, in which the caller is root.", own_way=True),
            Shell("--uid-map", "IN:OUT:N",
                text="A new user namespace: N ids from IN on are those from OUT on.", repeated=True)),
        of_programs=True, may_change=True),
    Option("gid_map", checks.id_map, SPACES, "The group ids of a new user namespace.",
        "user_namespaces(7)", (makers.id_maps,),
        needs="CAP_SETGID outside, or newgidmap, for more than one's own id", own_with=(F.NEWUSER, ""),
        why={"write gid_map EPERM": "more than one's own id needs CAP_SETGID outside",
            "write gid_map EINVAL": _OVERLAP},
        shell=(Shell("--gid-map", "IN:OUT:N", text="As --uid-map, for groups.", repeated=True),),
        of_programs=True, may_change=True),
    Option("hostname", checks.hostname, SPACES, "Its host name.", "sethostname(2)",
        (call(NAMESPACES, "sethostname", lambda name: ("SETHOSTNAME", name, len(name))),),
        needs="CAP_SYS_ADMIN", own_with=(F.NEWUTS, "uts"),
        why={"sethostname EPERM": _IN_OWNER.format("CAP_SYS_ADMIN")},
        shell=(Shell("--hostname", "NAME", text="Host name, with --new uts."),)),
    Option("loopback", checks.flag, SPACES, "Whether lo is brought up.", "netdevice(7)",
        (call(NAMESPACES, "bring up lo", lambda _: ("LOOPBACK",)),), needs="CAP_NET_ADMIN",
        own_with=(F.NEWNET, "net"), why={"bring up lo EPERM": _IN_OWNER.format("CAP_NET_ADMIN")},
        shell=(Shell("--loopback", text="lo is up, with --new net."),)),
    Option("namespaces", checks.namespaces, SPACES, "Existing namespaces that it joins.", "setns(2)",
        (makers.join,), needs="CAP_SYS_ADMIN",
        why={"setns EPERM": _IN_OWNER.format("CAP_SYS_ADMIN"),
            "setns EINVAL": "the descriptor is of another kind of namespace, or it is one's own",
            "setns ESRCH": "the process with that namespace has ended"},
        shell=(Shell("--join", "KIND=WHICH", "net=/run/netns/a, pid=4711",
                "An existing namespace by path or pid.", repeated=True),), replaces="os.setns",
        may_change=True, opens=True),
    Option("set_tid", checks.pids, SPACES, "Its pids, the innermost namespace's first.", "clone(2)",
        needs="Linux 5.5; CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE", shell=(Shell("--set-tid", "PID,..."),),
        of_programs=True, may_change=True),
    Option("start", checks.flag, SPACES,
        "False for a child that is complete but waits before its program until start(): nobody is "
        "suspended meanwhile, a wait without a timeout is refused, and it ends with a caller that ends "
        "or execs.", "futex(2)", (makers.last_gate,), nothing=True,
        callers_with=(F.PARENT, "the child would not end with the caller; leave one of them out"),
        of_programs=True),
)  # fmt: skip

OPTIONS = {row.name: row for row in _ROWS}
FUNCTION_OPTIONS = {row.name: row for row in _ROWS if not row.of_programs}

for _index, _row in enumerate(_ROWS):
    for _step in _row.steps:
        _step.stand_at(_index)
