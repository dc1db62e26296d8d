"""The vocabulary of a child's surroundings: one set of words for every verb, checked and frozen."""

import os
import signal
import subprocess
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import index
from types import MappingProxyType
from typing import Any, TypeAlias, TypedDict, cast

from .._kernel import user_ids
from .._kernel.names import (
    CAPABILITIES,
    IO_CLASSES,
    NAMESPACES,
    RLIMITS,
    SCHEDULERS,
    SECUREBITS,
    HasFileno,
    bits,
    find,
    nearest,
    signal_number,
)
from ..errors import UnknownNameError
from ..flags import CloneFlag, flag_bits, whole_number

Text: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Environment: TypeAlias = Mapping[str, str] | Mapping[bytes, bytes]
Limit: TypeAlias = int | str | None
IdMap: TypeAlias = Sequence[tuple[int, int, int]]


Descriptor: TypeAlias = int | HasFileno
Signal: TypeAlias = int | str


class FunctionOptions(TypedDict, total=False):
    """What can be said of the surroundings of any child, a function's or a program's.

    Descriptors, in the child: ``fds``, its number to what it shall be (a descriptor of the
    caller's, a file, subprocess.DEVNULL), any renumbering, cycles included; ``stdin``, ``stdout``,
    ``stderr``, the same for 0, 1 and 2 (None is the caller's); ``pass_fds``, which stay open under
    their number; ``close_fds``, whether all others are closed.

    Place: ``cwd``; ``root``, for chroot(2), within which cwd is then looked for; ``umask``.

    Session: ``start_new_session``; ``process_group`` (0 for its own); ``controlling_terminal``, a
    descriptor of the caller's, with a new session; ``foreground``, a descriptor of the terminal
    whose foreground process group the child's becomes.

    Signals, by number or name: ``signal_mask``, those blocked at first (None is as the caller has
    it); ``default_signals`` and ``ignored_signals``; ``restore_signals``, whether those that Python
    ignores get their default. ``pdeathsig`` comes when the *thread* that made the child ends;
    ``die_with_parent`` kills the child when the caller's process ends, whatever its threads do. The
    kernel forgets both at the exec of a program with set-user-ID, set-group-ID or capabilities.

    Identity: ``user``, ``group``, ``extra_groups``, by name or number: whoever becomes another user
    stays in the caller's groups unless these are said (of root's a KeptGroupsWarning reminds);
    ``init_groups``, whether it gets the user's own group and groups, as at a login, but for what is
    said of them; ``no_new_privs``;
    ``bounding_caps``, ``permitted_caps``, ``inheritable_caps``, ``ambient_caps``: capabilities by
    name, each the whole of its set from then on; ``securebits``, by name or as a number. An exec
    works a program's permitted capabilities out anew: they are the ambient ones, and for root,
    without the secure bit NOROOT, the bounding ones. So ``permitted_caps`` holds for a function, and for
    a program only until its exec.

    Limits: ``rlimits``, a name as in setrlimit(2) to a number, to (soft, hard), or to None for no
    limit; ``nice`` (-20 to 19, not added to the caller's); ``cpu_affinity``, the processors;
    ``scheduler``, a policy by name or with what it needs: ("FIFO", priority), ("DEADLINE",
    runtime, deadline, period) in nanoseconds; ``io_priority``, a class ("IDLE") or with its level:
    ("BE", 4); ``oom_score_adj`` (-1000 to 1000); ``personality``, a number as in personality(2);
    ``aslr``, whether addresses are random; ``timer_slack_ns``.

    Namespaces: ``hostname``; ``loopback``, whether ``lo`` is brought up; ``namespaces``, existing
    ones to join: "net", "mnt", ... to a path, a pid, or a descriptor with fileno() (of a namespace,
    or a pidfd).
    """

    stdin: Descriptor | None
    stdout: Descriptor | None
    stderr: Descriptor | None
    fds: Mapping[int, Descriptor]
    pass_fds: Iterable[int]
    close_fds: bool
    cwd: Text | None
    root: Text | None
    umask: int | None
    start_new_session: bool
    process_group: int | None
    controlling_terminal: Descriptor | None
    foreground: Descriptor | None
    signal_mask: Iterable[Signal] | None
    default_signals: Iterable[Signal]
    ignored_signals: Iterable[Signal]
    restore_signals: bool
    pdeathsig: Signal | None
    user: str | int | None
    init_groups: bool
    group: str | int | None
    extra_groups: Iterable[str | int] | None
    no_new_privs: bool
    bounding_caps: Iterable[str] | None
    permitted_caps: Iterable[str] | None
    inheritable_caps: Iterable[str] | None
    ambient_caps: Iterable[str] | None
    securebits: int | Iterable[str] | None
    rlimits: Mapping[str | int, Limit | tuple[Limit, Limit]]
    nice: int | None
    cpu_affinity: Iterable[int] | None
    scheduler: str | tuple[Any, ...] | None
    io_priority: str | tuple[Any, ...] | None
    oom_score_adj: int | None
    personality: int | None
    aslr: bool
    timer_slack_ns: int | None
    hostname: str | bytes | None
    loopback: bool
    namespaces: Mapping[str, str | os.PathLike[str] | Descriptor]


class Options(FunctionOptions, total=False):
    """The whole vocabulary of a program.

    ``executable``, the file to run instead of argv's first word; ``arg0``, what the program is told
    as its name; ``env`` (None is the caller's).

    The clone call: ``flags``, clone flags, whose low bits may hold the exit signal (which an exec makes
    SIGCHLD); ``cgroup``, a
    directory by path or descriptor; ``set_tid``, the child's pids, the innermost namespace's first;
    ``uid_map`` and ``gid_map``, triples (inside, outside, count) for a child with NEWUSER.

    ``start``: False for a child that is complete but waits before its program until start(); a wait
    without a timeout is refused before it, and a read from a pipe that only the child writes waits
    for ever. Nobody is suspended until then; a caller that ends or execs takes such a child along.
    """

    executable: Text | None
    arg0: Text | None
    env: Environment | None
    flags: int
    cgroup: str | os.PathLike[str] | Descriptor | None
    set_tid: Sequence[int] | None
    uid_map: IdMap | None
    gid_map: IdMap | None
    die_with_parent: bool
    start: bool


# A typed dictionary inherits no words, and help() shows its own only.
Options.__doc__ = "\n".join(
    line.strip()
    for words in (Options, FunctionOptions)
    for line in (words.__doc__ or "").splitlines()
)


# What an option has come to be when it is checked; what was not said is not there.
ValidatedOptions: TypeAlias = Mapping[str, Any]

DEVNULL = subprocess.DEVNULL

_NO_ID = (1 << 32) - 1
_32_BITS = (1 << 32) - 1
_UNLIMITED = (1 << 64) - 1
_LARGEST_INT = (1 << 31) - 1
_UMASK_BITS = 0o7777
_LOWEST_NICE, _HIGHEST_NICE = -20, 19
_MOST_OOM = 1000
_LONGEST_HOSTNAME = 64
_IO_CLASS_SHIFT, _IO_LEVELS = 13, 8
_ADDR_NO_RANDOMIZE = 0x0040000
_DEADLINE = SCHEDULERS["DEADLINE"]
_REAL_TIME = (SCHEDULERS["FIFO"], SCHEDULERS["RR"])
_MOST_PRIORITY = 99
_MOST_PROCESSORS = 1 << 16  # more than any kernel can be built for

# For who would use a preexec_fn.
WORDS_FOR_PREEXEC = (
    "os.setsid is start_new_session, os.setpgid is process_group, "
    "os.chdir is cwd, os.chroot is root, os.umask is umask, os.setuid and its kin are user, group "
    "and extra_groups, resource.setrlimit is rlimits, os.nice is nice, os.sched_setaffinity is "
    "cpu_affinity, os.dup2 is fds, signal.signal is default_signals and ignored_signals, "
    "signal.pthread_sigmask is signal_mask, prctl's PR_SET_PDEATHSIG is pdeathsig, its "
    "PR_SET_NO_NEW_PRIVS is no_new_privs, os.unshare is flags, os.setns is namespaces"
)


def checked(options: Mapping[str, Any], known: Collection[str]) -> ValidatedOptions:
    """The options as the kernel will be told them; what was not said, or said with None, is not there.

    Raises TypeError for an option that is not among the known ones, and for a value of the wrong
    kind; ValueError, OverflowError and UnknownNameError for one that cannot be.
    """
    validated = {}
    for name, value in options.items():
        if name not in known:
            raise unknown(name, known)
        if value is not None:
            validated[name] = _one_checked(name, value)
    if validated.pop("init_groups", False):
        validated = {**checked(login_groups(options.get("user")), known), **validated}
    return MappingProxyType(validated)


def warn_of_kept_groups(options: Mapping[str, Any]) -> None:
    """Say so when they take another user for a child of root, and leave it in root's groups."""
    user = options.get("user")
    stays = user is None or user in (0, "root")
    if stays or options.get("init_groups") or os.geteuid() != 0:
        return
    own = os.getegid() if options.get("group") is None else None
    more = os.getgroups() if options.get("extra_groups") is None else ()
    if own is not None or more:
        from .._preflight import hints  # only a mistake needs them

        hints.warn_of_kept_groups(user, own, more)


def login_groups(user: str | int | None) -> dict[str, Any]:
    """The user's group and groups, as at a login: group and extra_groups.

    Raises ValueError for a user that is not named, and for one of whom nothing is known.
    """
    import pwd

    if user is None:
        raise ValueError("init_groups is for a child that becomes another user: it needs user")
    try:
        known = pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        raise ValueError(
            f"init_groups: nothing is known of user {user}, so say group and extra_groups"
        ) from None
    return {
        "group": known.pw_gid,
        "extra_groups": os.getgrouplist(known.pw_name, known.pw_gid),
    }


def _one_checked(name: str, value: Any) -> Any:
    try:
        return _CHECKS[name](name, value)
    except TypeError as error:
        # Python's own words do not say which option they are about.
        if str(error).startswith(name):
            raise
        raise TypeError(f"{name}: {error}") from None


def unknown(name: str, known: Collection[str]) -> Exception:
    """The error for an option that is not among the known ones."""
    from .._preflight import hints  # only a mistake needs them

    if known is FUNCTION_OPTIONS:
        return hints.no_option_of_functions(name, known, name in PROGRAM_OPTIONS)
    if name == "preexec_fn":
        return ValueError(
            "only Popen and run take a preexec_fn: here the child shares this process's memory between "
            f"clone and exec. What is wanted has a word of its own: {WORDS_FOR_PREEXEC}"
        )
    return hints.no_option_of_programs(name, known)


def descriptor_of(what: str, value: Descriptor) -> int:
    """The number of a descriptor or a file; ValueError for a number that none can have."""
    number = whole_number(what, value) if isinstance(value, int) else _fileno(what, value)
    # The kernel looks at 32 bits only: a larger number would name another descriptor.
    if not 0 <= number <= _LARGEST_INT:
        raise ValueError(f"{what}: {number} is no descriptor")
    return number


def _fileno(what: str, value: Any) -> int:
    if not hasattr(value, "fileno"):
        raise TypeError(f"{what} is a descriptor or has fileno(), not {type(value).__name__}")
    return index(value.fileno())


# What says the same whenever it is said. All else has a meaning that may change: of a descriptor that
# is held, of a file, of this process's own rights.
_SAYS_THE_SAME = frozenset(
    {
        *("stdin", "stdout", "stderr", "fds", "pass_fds", "close_fds"),
        *("cwd", "root", "umask", "start_new_session", "process_group"),
        *("signal_mask", "default_signals", "ignored_signals", "restore_signals", "pdeathsig"),
        *("user", "group", "extra_groups", "no_new_privs", "securebits"),
        *("bounding_caps", "permitted_caps", "inheritable_caps", "ambient_caps"),
        *("rlimits", "nice", "cpu_affinity", "scheduler", "io_priority", "oom_score_adj"),
        *("timer_slack_ns", "hostname", "loopback", "flags", "die_with_parent", "start"),
    }
)
_PLAIN = frozenset({int, str, type(None), CloneFlag, signal.Signals})
_SETS = frozenset({set, frozenset})
_OF_PLAIN = _SETS | {list, tuple}
_NAMES = frozenset({"user", "group", "extra_groups"})


def key(options: Mapping[str, Any]) -> tuple[object, ...] | None:
    """What stands for these options as they are now; None where they may mean another thing later.

    Equal keys are of options that checked() takes for the same. Names of users are in it by their
    numbers, and what can be changed by its contents.
    """
    if not _SAYS_THE_SAME.issuperset(options):
        return None
    try:
        if not _NAMES.isdisjoint(options):
            options = _numbered(options)
        values = [one if type(one) in _PLAIN else _frozen(one) for one in options.values()]
        return (*options, *values)
    except (TypeError, ValueError, OverflowError):  # checked() says why
        return None


def _numbered(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same with numbers for names; names are looked up anew, as they may be others' by now."""
    user, group, groups = (options.get(name) for name in ("user", "group", "extra_groups"))
    listed = groups if type(groups) is list or type(groups) is tuple else ()
    if str not in {type(user), type(group), *map(type, listed)}:
        return options
    numbered, now = dict(options), user_ids.file_versions()
    if type(user) is str:
        numbered["user"] = _user("user", user, now)
    if type(group) is str:
        numbered["group"] = _group("group", group, now)
    if listed:
        numbered["extra_groups"] = tuple([_group("group", one, now) for one in listed])
    return numbered


def _frozen(value: Any) -> object:
    """A value by its contents, and by its type: an equal one of another may not be taken."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is bool:  # equal to a number, which says another thing
        return kind, value
    if kind is dict and _PLAIN.issuperset(map(type, value)):
        return kind, *value, *[_frozen(one) for one in value.values()]
    if kind not in _OF_PLAIN:
        raise TypeError(f"{value!r} may change")
    parts = value if _PLAIN.issuperset(map(type, value)) else [_frozen(one) for one in value]
    return (kind, frozenset(parts)) if kind in _SETS else (kind, *parts)


# How each is checked: the name, for the error, and the value; the result is what is kept.


def _pairs(what: str, value: Any) -> Iterable[tuple[Any, Any]]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{what} is a mapping, not {type(value).__name__}")
    return value.items()


def _names(what: str, value: Iterable[Any]) -> Iterable[Any]:
    """Several of them: a single word would be taken letter by letter."""
    if isinstance(value, str | bytes):
        raise TypeError(f"{what} is a sequence of names, not one string")
    return value


def _target(what: str, value: Any) -> int:
    """A descriptor that the child shall have: a number of the caller's, or DEVNULL."""
    if isinstance(value, int) and value in (subprocess.PIPE, subprocess.STDOUT):
        name = "PIPE" if value == subprocess.PIPE else "STDOUT"
        raise ValueError(f"{what}: {name} is for Popen and run, which have an end of their own")
    return DEVNULL if value is DEVNULL else descriptor_of(what, value)


def _targets(what: str, value: Mapping[int, Any]) -> dict[int, int]:
    return {
        descriptor_of(what, number): _target(f"{what}[{number}]", source)
        for number, source in _pairs(what, value)
    }


def _kept(what: str, value: Iterable[Any]) -> tuple[int, ...]:
    return tuple(descriptor_of(what, number) for number in value)


def _flag(_: str, value: object) -> bool:
    return bool(value)


def _path(_: str, value: Text) -> bytes:
    return os.fsencode(value)


def _umask(what: str, value: int) -> int:
    if not 0 <= whole_number(what, value) <= _UMASK_BITS:
        raise ValueError(f"{what}: {value} is no mask, which is 0 to {_UMASK_BITS:#o}")
    return index(value)


def _process_group(what: str, value: int) -> int:
    if not 0 <= whole_number(what, value) <= _LARGEST_INT:
        raise ValueError(f"{what}: {value} is no process group")
    return index(value)


def _signals(what: str, value: Iterable[Signal]) -> tuple[int, ...]:
    return tuple(signal_number(one) for one in _names(what, value))


def _signal_mask(what: str, value: Iterable[Signal]) -> int:
    return bits(signal_number(one) - 1 for one in _names(what, value))


def _signal(_: str, value: Signal) -> int:
    return signal_number(value)


def _user(what: str, value: str | int, now: user_ids.FileVersions = None) -> int:
    if isinstance(value, str):
        try:
            return user_ids.uid(value, now or user_ids.file_versions())
        except KeyError:
            import pwd

            known = [user.pw_name for user in pwd.getpwall()]
            raise UnknownNameError(what, value, nearest(value, known)) from None
    return _id(what, value)


def _group(what: str, value: str | int, now: user_ids.FileVersions = None) -> int:
    if isinstance(value, str):
        try:
            return user_ids.gid(value, now or user_ids.file_versions())
        except KeyError:
            import grp

            known = [group.gr_name for group in grp.getgrall()]
            raise UnknownNameError(what, value, nearest(value, known)) from None
    return _id(what, value)


def _id(what: str, value: int) -> int:
    # The kernel takes 32 bits of an id, and all ones for "leave as it is": neither is asked.
    if not 0 <= whole_number(what, value) < _NO_ID:
        raise OverflowError(f"{what}: {value} is no id, which is 0 to {_NO_ID - 1}")
    return index(value)


def _groups(what: str, value: Iterable[str | int]) -> "array[int]":
    return array("I", [_group("group", one) for one in _names(what, value)])


def _capabilities(what: str, value: Iterable[str]) -> int:
    return bits(find(CAPABILITIES, name, "capability", "CAP_") for name in _names(what, value))


def _securebits(what: str, value: int | Iterable[str]) -> int:
    if isinstance(value, int):
        return _within(0, _32_BITS)(what, value)
    mask = 0
    for name in _names(what, value):
        mask |= find(SECUREBITS, name, "secure bit", "SECBIT_")
    return mask


def _rlimits(what: str, value: Mapping[str | int, Any]) -> dict[str, tuple[int, int, int]]:
    """Name for the error -> (resource, soft, hard)."""
    return dict(_rlimit(which, limit) for which, limit in _pairs(what, value))


def _rlimit(which: str | int, limit: Any) -> tuple[str, tuple[int, int, int]]:
    number = (
        whole_number("rlimits: a limit", which)
        if isinstance(which, int)
        else find(RLIMITS, which, "limit", "RLIMIT_")
    )
    if not 0 <= number <= _LARGEST_INT:
        raise ValueError(f"rlimits: {number} is the number of no limit")
    name = next((name for name, known in RLIMITS.items() if known == number), str(number))
    both = limit if isinstance(limit, tuple | list) else (limit, limit)
    if len(both) != len(("soft", "hard")):
        raise ValueError(f"rlimits: {name} is one number or (soft, hard), not {limit!r}")
    soft, hard = both
    return name, (number, _limit(name, soft), _limit(name, hard))


def _limit(name: str, value: Limit) -> int:
    if value is None or value in (-1, "unlimited"):
        return _UNLIMITED
    if isinstance(value, str) or not 0 <= whole_number(f"rlimits: {name}", value) <= _UNLIMITED:
        raise ValueError(f"rlimits: {value!r} is no limit for {name}, nor None for none")
    return index(value)


def _within(low: int, high: int) -> Callable[[str, int], int]:
    def check(what: str, value: int) -> int:
        if not low <= whole_number(what, value) <= high:
            raise ValueError(f"{what} is {low} to {high}, not {value}")
        return index(value)

    return check


def _processors(what: str, value: Iterable[int]) -> bytes:
    """The mask as the kernel reads it: whole words of 64 bits."""
    mask = 0
    for processor in value:
        if not 0 <= whole_number(f"{what}: a processor", processor) < _MOST_PROCESSORS:
            raise ValueError(f"{what}: there is no processor {processor}")
        mask |= 1 << processor
    if mask == 0:
        raise ValueError(f"{what} is empty: the child could run nowhere")
    words = (mask.bit_length() + 63) // 64
    return mask.to_bytes(words * 8, "little")


def _scheduler(what: str, value: str | tuple[Any, ...]) -> tuple[int, tuple[int, ...]]:
    """(policy, what it needs)."""
    policy, needs = _named_with_numbers(SCHEDULERS, value, "scheduling policy", "SCHED_")
    wanted = {_DEADLINE: 3, _REAL_TIME[0]: 1, _REAL_TIME[1]: 1}.get(policy, 0)
    if len(needs) != wanted:
        raise ValueError(f"{what}: {value!r} needs {wanted} numbers after the policy")
    if policy == _DEADLINE and not all(0 <= need < 1 << 64 for need in needs):
        raise ValueError(f"{what}: {value!r} has times that are no 64 bits of nanoseconds")
    if policy in _REAL_TIME and not 1 <= needs[0] <= _MOST_PRIORITY:
        raise ValueError(f"{what}: a priority is 1 to {_MOST_PRIORITY}, not {needs[0]}")
    return policy, needs


def _io_priority(what: str, value: str | tuple[Any, ...]) -> int:
    kind, levels = _named_with_numbers(IO_CLASSES, value, "class of I/O priority", "IOPRIO_CLASS_")
    level = levels[0] if levels else 0
    if len(levels) > 1 or not 0 <= level < _IO_LEVELS:
        raise ValueError(f"{what}: one level, 0 to {_IO_LEVELS - 1}, comes after the class")
    return kind << _IO_CLASS_SHIFT | level


def _named_with_numbers(
    names: Mapping[str, int], value: str | tuple[Any, ...], what: str, prefix: str
) -> tuple[int, tuple[int, ...]]:
    name, *numbers = (value,) if isinstance(value, str) else (tuple(value) or ("",))
    if not isinstance(name, str):
        raise TypeError(f"a {what} is a name, or a tuple that begins with one, not {value!r}")
    return find(names, name, what, prefix), tuple(whole_number(what, number) for number in numbers)


def _hostname(what: str, value: str | bytes) -> bytes:
    name = os.fsencode(value)
    if len(name) > _LONGEST_HOSTNAME:
        raise ValueError(f"{what} has at most {_LONGEST_HOSTNAME} bytes, not {len(name)}")
    return name


def _namespaces(what: str, value: Mapping[str, Any]) -> dict[str, Any]:
    if "time" in dict(_pairs(what, value)):
        raise ValueError(
            f"{what}: the kernel lets only a task alone in its memory join a time namespace, and a "
            "child on its way to a program is not: use clone(fn) without VM and os.setns in it"
        )
    for name, source in _pairs(what, value):
        find(NAMESPACES, name, "namespace")
        if isinstance(source, int):
            whole_number(f"{what}[{name!r}]: a pid", source)
        elif not isinstance(source, str | os.PathLike):
            _fileno(f"{what}[{name!r}]", source)
    return dict(value)


def _id_map(what: str, value: IdMap) -> tuple[tuple[int, int, int], ...]:
    lines = tuple(
        tuple(whole_number(f"{what}: an id", number) for number in line) for line in value
    )
    if not lines:
        raise ValueError(f"{what} is empty: without a line no id is mapped")
    if not all(map(_maps, lines)):
        raise ValueError(
            f"{what}: a line is (inside, outside, count), each of 32 bits, count not 0"
        )
    return cast("tuple[tuple[int, int, int], ...]", lines)


def _maps(line: tuple[int, ...]) -> bool:
    return len(line) == len(("inside", "outside", "count")) and (
        min(line) >= 0 and max(line) <= _32_BITS and line[2] != 0
    )


def _environment(what: str, value: Environment) -> tuple[bytes, ...]:
    return tuple(_assignment(name, setup) for name, setup in _pairs(what, value))


def _assignment(name: str | bytes, value: str | bytes) -> bytes:
    name = os.fsencode(name)
    if b"=" in name:
        raise ValueError(f"illegal environment variable name: {name!r}")
    return name + b"=" + os.fsencode(value)


def _pids(what: str, value: Sequence[int]) -> tuple[int, ...]:
    pids = tuple(whole_number(f"{what}: a pid", pid) for pid in value)
    if not all(0 < pid <= _LARGEST_INT for pid in pids):
        raise ValueError(f"{what}: {value!r} has a number that no process can have")
    return pids


def _flags(what: str, value: int) -> int:
    if flag_bits(value) < 0:
        raise ValueError(f"{what} is not negative, as {value} is")
    return index(value)


def _cgroup(what: str, value: Any) -> Any:
    if not isinstance(value, str | bytes | os.PathLike):
        descriptor_of(what, value)
    return value


_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "stdin": _target,
    "stdout": _target,
    "stderr": _target,
    "fds": _targets,
    "pass_fds": _kept,
    "close_fds": _flag,
    "cwd": _path,
    "root": _path,
    "umask": _umask,
    "start_new_session": _flag,
    "process_group": _process_group,
    "controlling_terminal": descriptor_of,
    "foreground": descriptor_of,
    "signal_mask": _signal_mask,
    "default_signals": _signals,
    "ignored_signals": _signals,
    "restore_signals": _flag,
    "pdeathsig": _signal,
    "die_with_parent": _flag,
    "user": _user,
    "init_groups": _flag,
    "group": _group,
    "extra_groups": _groups,
    "no_new_privs": _flag,
    "bounding_caps": _capabilities,
    "permitted_caps": _capabilities,
    "inheritable_caps": _capabilities,
    "ambient_caps": _capabilities,
    "securebits": _securebits,
    "rlimits": _rlimits,
    "nice": _within(_LOWEST_NICE, _HIGHEST_NICE),
    "cpu_affinity": _processors,
    "scheduler": _scheduler,
    "io_priority": _io_priority,
    "oom_score_adj": _within(-_MOST_OOM, _MOST_OOM),
    "personality": _within(0, _32_BITS - 1),
    "aslr": _flag,
    "timer_slack_ns": _within(1, (1 << 63) - 1),
    "hostname": _hostname,
    "loopback": _flag,
    "namespaces": _namespaces,
    "executable": _path,
    "arg0": _path,
    "env": _environment,
    "flags": _flags,
    "cgroup": _cgroup,
    "set_tid": _pids,
    "uid_map": _id_map,
    "gid_map": _id_map,
    "start": _flag,
}

FUNCTION_OPTIONS = frozenset(FunctionOptions.__annotations__)
PROGRAM_OPTIONS = frozenset(Options.__annotations__)
