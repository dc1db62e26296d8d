"""Every clone flag that Linux has had, with its facts."""

import enum
import re
from collections.abc import Iterator
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

SIGNAL_BITS = 0x7F
_PREFIX = "CLONE_"


class UnknownFlagError(ValueError):
    """A text names a flag or a signal that does not exist."""


class Facts(NamedTuple):
    """One flag: the kernel's name and value, and what it does.

    ``calls`` holds those of ``clone``, ``clone3`` and ``unshare`` that take the flag today, or
    ``library`` for what this library does instead of the kernel. ``until`` is the first Linux that
    no longer has it.
    """

    name: str
    value: int
    since: str
    until: str | None
    calls: frozenset[str]
    shared_when_set: str
    when_clear: str
    source: str
    note: str


class _Names(enum.EnumMeta):
    if not TYPE_CHECKING:  # to a type checker any name would be a flag

        def __getattr__(cls, name: str) -> object:
            hint = _suggestion(name) if _PREFIX in name or name.isupper() else ""
            if (flag := name.upper().removeprefix(_PREFIX)) in cls.__members__:
                hint = f"; it is CloneFlag.{flag}"
            error = AttributeError(f"type object 'CloneFlag' has no attribute {name!r}{hint}")
            if hint:
                error.name = name  # without it Python adds the nearest name once more
            raise error


class CloneFlag(enum.IntFlag, boundary=enum.KEEP, metaclass=_Names):
    """The flags of clone(2) and clone3(2), under the kernel's names without their ``CLONE_``.

    As in clone(2), the low seven bits are the number of the exit signal, so that
    ``CloneFlag.VM | signal.SIGCHLD`` is one value. (Write the flag first: in the other order the
    value is the same, but Python makes a plain int of it.) Bits that this version does not know are
    kept, since the kernel may be newer than we are.

    >>> CloneFlag.VM | CloneFlag.FS | 17
    <CloneFlag CLONE_VM|CLONE_FS|SIGCHLD: 0x311>
    >>> print(CloneFlag.parse("vm|fs|sigchld"))
    CLONE_VM|CLONE_FS|SIGCHLD

    Source: clone(2), include/uapi/linux/sched.h.
    """

    CSIGNAL = 0x000000FF
    NEWTIME = 0x00000080
    VM = 0x00000100
    FS = 0x00000200
    FILES = 0x00000400
    SIGHAND = 0x00000800
    PIDFD = 0x00001000
    PTRACE = 0x00002000
    VFORK = 0x00004000
    PARENT = 0x00008000
    THREAD = 0x00010000
    NEWNS = 0x00020000
    SYSVSEM = 0x00040000
    SETTLS = 0x00080000
    PARENT_SETTID = 0x00100000
    CHILD_CLEARTID = 0x00200000
    DETACHED = 0x00400000
    UNTRACED = 0x00800000
    CHILD_SETTID = 0x01000000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000
    IO = 0x80000000
    CLEAR_SIGHAND = 0x100000000
    INTO_CGROUP = 0x200000000
    AUTOREAP = 0x400000000
    NNP = 0x800000000
    PIDFD_AUTOKILL = 0x1000000000
    EMPTY_MNTNS = 0x2000000000

    # The kernel gave the bits of these two to NEWCGROUP and PIDFD. They are above bit 63, which
    # no kernel reads, so that a request for the old flag never gets the new one.
    STOPPED = 1 << 64
    PID = 1 << 65

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read flags as people and strace write them.

        Takes names with or without ``CLONE_`` and in either case, signals, hexadecimal and decimal
        numbers, joined by ``|``, ``+``, ``/``, commas or blanks; what ``str()`` returns; and whole
        lines of strace for clone, clone3 and unshare. ``SIGRT_n`` and ``SIGRTMIN+n`` both count from 32 as
        the kernel does (libc uses the first two itself: its SIGRTMIN is 34).

        Raises UnknownFlagError (a ValueError) for an unknown name, with the nearest known one, and
        ValueError for two exit signals at once.

        >>> CloneFlag.parse("clone3({flags=CLONE_VM, exit_signal=SIGCHLD, stack=NULL}, 88) = 7")
        <CloneFlag CLONE_VM|SIGCHLD: 0x111>
        """
        result = cls(0)
        for word in _words_of(text):
            bits = _read_word(word)
            if bits & SIGNAL_BITS and result.exit_signal:
                raise ValueError(
                    f"invalid flags: expected one exit signal, got another, {word!r}, in {text!r}"
                )
            result |= bits
        return result

    @classmethod
    def _missing_(cls, value: object) -> Any:
        if isinstance(value, str):
            raise ValueError(  # noqa: TRY004 - as every enum does
                f"invalid flags: expected a number, got {value!r}; CloneFlag.parse({value!r}) reads text"
            )
        return super()._missing_(value)

    @property
    def facts(self) -> Facts:
        """The facts of this one flag; ValueError for a combination or unknown bits."""
        if self not in _FACTS_BY_FLAG:
            raise ValueError(f"invalid flag: expected a single known one, got {self}")
        return _FACTS_BY_FLAG[self]

    @property
    def exit_signal(self) -> int:
        """The number of the signal that the child's end sends to its parent; 0 for none."""
        return self.value & SIGNAL_BITS

    @property
    def without_signal(self) -> Self:
        """The same flags without an exit signal, as clone3 wants them."""
        return self & ~SIGNAL_BITS

    def __str__(self) -> str:
        low_byte = self.value & CloneFlag.CSIGNAL.value
        if low_byte == CloneFlag.CSIGNAL.value:
            words = [*_describe_bits(self.value & ~low_byte), "CSIGNAL"]
        else:
            words = _describe_bits(self.without_signal.value)
            if self.exit_signal:
                words.append(signal_name(self.exit_signal))
        return "|".join(words) or "0"

    def __repr__(self) -> str:
        return f"<CloneFlag {self}: {self.value:#x}>"

    def __format__(self, specification: str) -> str:
        # IntFlag formats as a bare number. Here only a letter of numbers (x, d, ...) asks for one.
        if specification[-1:].isalpha() and specification[-1] != "s":
            return format(self.value, specification)
        return format(str(self), specification)

    # Enum's own iteration yields None for each bit of CSIGNAL, and its length counts bits.
    def __iter__(self) -> Iterator[Self]:
        return (flag for flag in _SINGLE_FLAGS if flag.value & self.value)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def flag_bits(flags: int) -> int:
    """Flags as an int. Raises TypeError, with a hint, for anything else."""
    if flags is True or flags is False:
        _refuse_flags(flags)
    try:
        return index(flags)
    except TypeError:
        _refuse_flags(flags)


def whole_number(what: str, value: int) -> int:
    """The value as an int. Raises TypeError for anything else, and for a bool."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"invalid {what}: expected an int, got {value!r:.80}")
    return index(value)


def _refuse_flags(given: object) -> NoReturn:
    if isinstance(given, str):
        raise TypeError(
            f"invalid flags: expected a number, got {given!r}; CloneFlag.parse({given!r}) reads text"
        ) from None
    if isinstance(given, list | tuple | set | frozenset):
        raise TypeError(
            f"invalid flags: expected one number, got {given!r:.80}; CloneFlag.VM | CloneFlag.FS joins two"
        ) from None
    raise TypeError(
        f"invalid flags: expected a number such as CloneFlag.VM, got {given!r:.80}"
    ) from None


_SINGLE_FLAGS = tuple(CloneFlag)  # enum leaves out CSIGNAL, which is more than one bit
_KNOWN_BITS = sum(flag.value for flag in _SINGLE_FLAGS)


def _describe_bits(bits: int) -> list[str]:
    words = [_PREFIX + str(flag.name) for flag in _SINGLE_FLAGS if flag.value & bits]
    unknown = bits & ~_KNOWN_BITS
    return [*words, f"{unknown:#x}"] if unknown else words


# Linux's numbers on x86 and arm, which are those of asm-generic. The signal module is not used:
# other systems have other numbers, and this file reads a Linux trace on any machine.
# fmt: off
_SIGNALS = (
    "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL",
    "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD",
    "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ",
    "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
)
# fmt: on
_FIRST_REALTIME_SIGNAL = 32
LAST_SIGNAL = 64


def signal_name(number: int) -> str:
    """The name of a signal as strace prints it; a hexadecimal number if there is no such signal.

    >>> signal_name(17), signal_name(34), signal_name(100)
    ('SIGCHLD', 'SIGRT_2', '0x64')
    """
    if 1 <= number < _FIRST_REALTIME_SIGNAL:
        return _SIGNALS[number - 1]
    if _FIRST_REALTIME_SIGNAL <= number <= LAST_SIGNAL:
        return f"SIGRT_{number - _FIRST_REALTIME_SIGNAL}"
    return f"{number:#x}"


def _signal_numbers() -> dict[str, int]:
    numbers = {name: number for number, name in enumerate(_SIGNALS, start=1)}
    numbers |= {"SIGIOT": 6, "SIGCLD": 17, "SIGPOLL": 29, "SIGRTMIN": _FIRST_REALTIME_SIGNAL}
    for offset in range(LAST_SIGNAL - _FIRST_REALTIME_SIGNAL + 1):
        numbers[f"SIGRT_{offset}"] = numbers[f"SIGRTMIN+{offset}"] = _FIRST_REALTIME_SIGNAL + offset
    return numbers


_BITS_BY_NAME = {
    **{name: flag.value for name, flag in CloneFlag.__members__.items()},
    **_signal_numbers(),
}

# Compiled when first needed, since compiling them would slow the import.
_COMMENT = r"(?s)/\*.*?\*/|strace: Process \d+ attached"
_JOINTS = r"(?:[|,/\s]|(?<!(?i:RTMIN))\+)+"
_UNSHARE = r"\bunshare\(([^)<]*)"
_FLAGS_FIELD = r"\bflags\s*=([^,)}<]*)"
_SIGNAL_FIELD = r"\bexit_signal\s*=([^,)}<]*)"


def _words_of(text: str) -> list[str]:
    text = re.sub(_COMMENT, "", text)
    written = re.search(_FLAGS_FIELD, text) or re.search(_UNSHARE, text)
    words = re.split(_JOINTS, (written[1] if written else text).strip())
    if written and (signal := re.search(_SIGNAL_FIELD, text)):
        words.append(_checked_signal(signal[1].strip()))
    return words


def _checked_signal(word: str) -> str:
    # clone3 has a whole field for the signal; a larger number there would turn into flags here.
    if _read_word(word) & ~SIGNAL_BITS:
        raise ValueError(f"invalid exit_signal: expected a signal, got {word!r}")
    return word


def _read_word(word: str) -> int:
    if word[:1].isdigit():
        try:
            return int(word, 0)
        except ValueError:
            raise UnknownFlagError(
                f"invalid flags: expected a number or a name, got {word!r}"
            ) from None
    name = word.upper().removeprefix(_PREFIX)
    if name not in _BITS_BY_NAME:
        raise UnknownFlagError(f"no clone flag or signal is called {word!r}{_suggestion(word)}")
    return _BITS_BY_NAME[name]


# Words that people use for flags, in the singular.
_OTHER_WORDS = {
    "cow": "VM", "copyonwrite": "VM", "memory": "VM", "heap": "VM", "mm": "VM", "addressspace": "VM",
    "fd": "FILES", "descriptor": "FILES", "filedescriptor": "FILES", "cwd": "FS", "chroot": "FS",
    "shared": "VM", "sharedmemory": "VM", "settid": "PARENT_SETTID|CHILD_SETTID",
    "directory": "FS", "umask": "FS", "handler": "SIGHAND", "signal": "SIGHAND|CLEAR_SIGHAND",
    "namespace": "NEWNS|NEWUTS|NEWIPC|NEWUSER|NEWPID|NEWNET|NEWCGROUP|NEWTIME",
    "container": "NEWNS|NEWUTS|NEWIPC|NEWPID|NEWNET", "mnt": "NEWNS", "mount": "NEWNS",
    "net": "NEWNET", "network": "NEWNET", "uts": "NEWUTS", "hostname": "NEWUTS", "ipc": "NEWIPC",
    "user": "NEWUSER", "uid": "NEWUSER", "root": "NEWUSER", "rootless": "NEWUSER",
    "capability": "NEWUSER", "cgroup": "NEWCGROUP|INTO_CGROUP", "time": "NEWTIME",
    "clock": "NEWTIME", "init": "NEWPID", "semaphore": "SYSVSEM", "tls": "SETTLS",
    "ptid": "PARENT_SETTID", "ctid": "CHILD_SETTID|CHILD_CLEARTID", "sibling": "PARENT",
    "zombie": "AUTOREAP", "nonewprivs": "NNP", "suspend": "VFORK", "wait": "VFORK",
}  # fmt: skip


# How like a known name a word must be to be taken for a misspelling. Of two letters one may be wrong.
_LIKE_A_NAME, _LIKE_A_SHORT_NAME = 0.72, 0.5


def _suggestion(word: str) -> str:
    """The flag that is probably meant by an unknown word: one of its subject, or of a similar name."""
    import difflib  # only a mistake needs it, and an import of this package should stay cheap

    if not word:
        return "; 0 is for none"
    if meant := _OTHER_WORDS.get(_plain(word)):
        first, *more = map(str, CloneFlag.parse(meant))
        return f"; see {', '.join([first, *more])}" if more else f"; the flag for it is {first}"
    name = word.upper().removeprefix(_PREFIX)
    known = CloneFlag.__members__ if name != word.upper() else _BITS_BY_NAME
    cutoff = _LIKE_A_SHORT_NAME if len(name) <= len("VM") else _LIKE_A_NAME
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    if not nearest:
        return f"; the flags are {', '.join(str(flag.name) for flag in _SINGLE_FLAGS)}"
    return f"; the nearest known name is {CloneFlag(_BITS_BY_NAME[nearest[0]])}"


def _plain(word: str) -> str:
    word = re.sub(r"[-_ ]", "", word.lower())
    word = word.removesuffix("namespace") or word
    forms = (word, word.removesuffix("s"), re.sub(r"ies$", "y", word))
    return next((form for form in forms if form in _OTHER_WORDS), word)


def _row(
    flag: CloneFlag,
    *,
    since: str,
    calls: str,
    shared_when_set: str,
    when_clear: str,
    source: str,
    note: str = "",
    until: str | None = None,
    kernel_value: int | None = None,
) -> Facts:
    return Facts(
        name=str(flag),
        value=flag.value if kernel_value is None else kernel_value,
        since=since,
        until=until,
        calls=frozenset(calls.split()),
        shared_when_set=shared_when_set,
        when_clear=when_clear,
        source=source,
        note=note,
    )


# fmt: off
FACTS: tuple[Facts, ...] = (
    _row(
        CloneFlag.CSIGNAL, since="1.0", calls="clone",
        shared_when_set=(
            "a mask: the low byte is the number of the signal that the child's end sends to its "
            "parent"
        ),
        when_clear="no signal at the end; only __WALL or __WCLONE waits for the child",
        source="do_notify_parent (kernel/signal.c)",
        note="clone3 has a separate field for the signal",
    ),
    _row(
        CloneFlag.NEWTIME, since="5.6", calls="clone3 unshare",
        shared_when_set="a new time namespace; a child that shares memory enters it at its exec",
        when_clear="the time namespace that the caller's children get",
        source="copy_time_ns, timens_on_fork (kernel/time/namespace.c)",
        note="clone3 takes it since 6.3; in clone() the bit belongs to the exit signal",
    ),
    _row(
        CloneFlag.VM, since="2.0", calls="clone clone3 unshare",
        shared_when_set="all memory, mappings and page tables",
        when_clear="a copy of the memory, each page copied when one side writes to it",
        source="copy_mm (kernel/fork.c)",
    ),
    _row(
        CloneFlag.FS, since="2.0", calls="clone clone3 unshare",
        shared_when_set="root directory, working directory and umask",
        when_clear="a copy of the three",
        source="copy_fs (kernel/fork.c)",
    ),
    _row(
        CloneFlag.FILES, since="2.0", calls="clone clone3 unshare",
        shared_when_set="the table of file descriptors",
        when_clear="a copy of the table, which refers to the same open files",
        source="copy_files (kernel/fork.c)",
    ),
    _row(
        CloneFlag.SIGHAND, since="2.0", calls="clone clone3 unshare",
        shared_when_set=(
            "the table of signal handlers, but neither the blocked nor the pending signals"
        ),
        when_clear="a copy of the table",
        source="copy_sighand (kernel/fork.c)",
        note="needs VM since 2.6.0",
    ),
    _row(
        CloneFlag.PID, since="2.0", calls="",
        shared_when_set="the parent's process id",
        when_clear="a process id of its own",
        source="get_pid (kernel/fork.c of 2.4)",
        note=(
            "at the end only for the idle task; PIDFD has its bit since 5.2, and no flag "
            "replaces it"
        ),
        until="2.5.16", kernel_value=0x00001000,
    ),
    _row(
        CloneFlag.PIDFD, since="5.2", calls="clone clone3",
        shared_when_set=(
            "a close-on-exec pidfd of the child is written at pidfd; in clone(), at "
            "parent_tid"
        ),
        when_clear="no descriptor",
        source="copy_process, pidfd_prepare (kernel/fork.c)",
        note="together with THREAD since 6.9",
    ),
    _row(
        CloneFlag.PTRACE, since="2.2", calls="clone clone3",
        shared_when_set="the caller's tracer, if it has one, traces the child too",
        when_clear="no tracer, unless the tracer asked for the event",
        source="ptrace_init_task (include/linux/ptrace.h)",
    ),
    _row(
        CloneFlag.VFORK, since="2.2", calls="clone clone3",
        shared_when_set="the calling thread is suspended until the child execs or ends",
        when_clear="both go on",
        source="kernel_clone, wait_for_vfork_done (kernel/fork.c)",
        note="also without VM; a fatal signal ends the suspension",
    ),
    _row(
        CloneFlag.PARENT, since="2.3.12", calls="clone clone3",
        shared_when_set=(
            "the caller's parent is the child's too, and the exit signal is that of the "
            "caller's leader"
        ),
        when_clear="the caller is the parent",
        source="copy_process (kernel/fork.c)",
        note="refused to the init of a pid namespace",
    ),
    _row(
        CloneFlag.THREAD, since="2.4.0", calls="clone clone3 unshare",
        shared_when_set="the thread group: process id, pending signals, limits, parent",
        when_clear="a thread group of its own",
        source="copy_process, copy_signal (kernel/fork.c)",
        note=(
            "no wait returns it, and it has no exit signal; needs SIGHAND; its ids are its own: "
            "libc's setuid() changes those of libc's threads, not of a task made with this flag"
        ),
    ),
    _row(
        CloneFlag.NEWNS, since="2.4.19", calls="clone clone3 unshare",
        shared_when_set="a new mount namespace, a copy of the caller's",
        when_clear="the caller's mount namespace",
        source="copy_mnt_ns (fs/namespace.c)",
    ),
    _row(
        CloneFlag.SYSVSEM, since="2.5.10", calls="clone clone3 unshare",
        shared_when_set="the list of semaphore operations that the kernel undoes when the last sharer ends",
        when_clear="an empty list",
        source="copy_semundo (ipc/sem.c)",
    ),
    _row(
        CloneFlag.SETTLS, since="2.5.32", calls="clone clone3",
        shared_when_set="the child's thread pointer register is set to tls",
        when_clear="the register is as in the caller",
        source="copy_thread (arch/x86/kernel/process.c)",
        note="on i386 tls points to a user_desc",
    ),
    _row(
        CloneFlag.PARENT_SETTID, since="2.5.49", calls="clone clone3",
        shared_when_set="the child's id is written at parent_tid in the caller's memory",
        when_clear="nothing is written",
        source="kernel_clone (kernel/fork.c)",
        note="a bad address is no error; in unshare the bit means UNSHARE_EMPTY_MNTNS since 7.1",
    ),
    _row(
        CloneFlag.CHILD_CLEARTID, since="2.5.49", calls="clone clone3",
        shared_when_set=(
            "when the child leaves memory that others still use, child_tid is cleared and one"
            " futex waiter is woken"
        ),
        when_clear="nothing is cleared",
        source="mm_release (kernel/fork.c)",
    ),
    _row(
        CloneFlag.DETACHED, since="2.5.32", calls="clone",
        shared_when_set="nothing",
        when_clear="nothing",
        source="copy_process, clone3_args_valid (kernel/fork.c)",
        note="without effect since 2.6.0; refused by clone3, and by clone() together with PIDFD",
    ),
    _row(
        CloneFlag.UNTRACED, since="2.5.46", calls="clone clone3",
        shared_when_set=(
            "the caller's tracer gets no event, and its options do not trace the child; PTRACE "
            "still works"
        ),
        when_clear="the tracer's options decide",
        source="kernel_clone (kernel/fork.c)",
    ),
    _row(
        CloneFlag.CHILD_SETTID, since="2.5.49", calls="clone clone3",
        shared_when_set="the child's id is written at child_tid in the child's memory",
        when_clear="nothing is written",
        source="schedule_tail (kernel/sched/core.c)",
        note="a bad address is no error",
    ),
    _row(
        CloneFlag.STOPPED, since="2.6.0", calls="library",
        shared_when_set="the child starts stopped, until SIGCONT",
        when_clear="the child starts running",
        source="do_fork (kernel/fork.c of 2.6)",
        note="NEWCGROUP has its bit since 4.6; this library stops the child itself",
        until="2.6.38", kernel_value=0x02000000,
    ),
    _row(
        CloneFlag.NEWCGROUP, since="4.6", calls="clone clone3 unshare",
        shared_when_set="a new cgroup namespace, rooted where the child is",
        when_clear="the caller's cgroup namespace",
        source="copy_cgroup_ns (kernel/cgroup/namespace.c)",
        note="the bit was STOPPED until 2.6.38",
    ),
    _row(
        CloneFlag.NEWUTS, since="2.6.19", calls="clone clone3 unshare",
        shared_when_set="a new namespace of host and domain name, a copy of the caller's",
        when_clear="the caller's names",
        source="copy_utsname (kernel/utsname.c)",
    ),
    _row(
        CloneFlag.NEWIPC, since="2.6.19", calls="clone clone3 unshare",
        shared_when_set="a new, empty namespace of System V objects and POSIX message queues",
        when_clear="the caller's",
        source="copy_ipcs (ipc/namespace.c)",
    ),
    _row(
        CloneFlag.NEWUSER, since="2.6.23", calls="clone clone3 unshare",
        shared_when_set="a new user namespace with all capabilities in it and no mapped ids",
        when_clear="the caller's user namespace",
        source="copy_creds (kernel/cred.c), create_user_ns (kernel/user_namespace.c)",
        note="complete, and allowed to plain users, since 3.8",
    ),
    _row(
        CloneFlag.NEWPID, since="2.6.24", calls="clone clone3 unshare",
        shared_when_set="a new pid namespace, in which the child is the first process",
        when_clear="the pid namespace that the caller's children get",
        source="copy_pid_ns (kernel/pid_namespace.c)",
    ),
    _row(
        CloneFlag.NEWNET, since="2.6.24", calls="clone clone3 unshare",
        shared_when_set="a new network namespace with one device, lo, which is down",
        when_clear="the caller's network",
        source="copy_net_ns (net/core/net_namespace.c)",
        note="complete since 2.6.29",
    ),
    _row(
        CloneFlag.IO, since="2.6.25", calls="clone clone3",
        shared_when_set=(
            "the I/O context, if the caller has one: the I/O scheduler counts both as one"
        ),
        when_clear="a context of its own with the same priority",
        source="copy_io (block/blk-ioc.c)",
        note="without effect on a kernel without block devices",
    ),
    _row(
        CloneFlag.CLEAR_SIGHAND, since="5.5", calls="clone3",
        shared_when_set=(
            "every signal with a handler gets its default action; ignored ones stay "
            "ignored"
        ),
        when_clear="a copy of the table",
        source="copy_sighand (kernel/fork.c)",
    ),
    _row(
        CloneFlag.INTO_CGROUP, since="5.7", calls="clone3",
        shared_when_set="the child starts in the cgroup (version 2) of the descriptor in cgroup",
        when_clear="the caller's cgroup",
        source="cgroup_css_set_fork (kernel/cgroup/cgroup.c)",
    ),
    _row(
        CloneFlag.AUTOREAP, since="7.1", calls="clone3",
        shared_when_set=(
            "the kernel reaps the child at its end: no zombie, no exit signal, no status by wait"
        ),
        when_clear="a zombie until its parent waits",
        source="copy_process (kernel/fork.c), do_notify_parent (kernel/signal.c)",
    ),
    _row(
        CloneFlag.NNP, since="7.1", calls="clone3",
        shared_when_set="no_new_privs is set in the child",
        when_clear="as in the caller",
        source="copy_process (kernel/fork.c)",
    ),
    _row(
        CloneFlag.PIDFD_AUTOKILL, since="7.1", calls="clone3",
        shared_when_set="the child is killed when the pidfd of this call is closed",
        when_clear="a closed pidfd does nothing",
        source="pidfd_prepare (kernel/fork.c)",
    ),
    _row(
        CloneFlag.EMPTY_MNTNS, since="7.1", calls="clone3",
        shared_when_set="a new mount namespace with an empty root and nothing else; implies NEWNS",
        when_clear="the mount namespace as NEWNS says",
        source="kernel_clone (kernel/fork.c), copy_mnt_ns (fs/namespace.c)",
    ),
)
# fmt: on


_FACTS_BY_FLAG = {CloneFlag.parse(row.name): row for row in FACTS}
