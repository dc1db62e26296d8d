"""The vocabulary as it is said in a shell: each option, how it is read, and which word it becomes."""

import math
import operator
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import click

from .._kernel.names import NAMESPACES, find
from .._setup.options import PROGRAM_OPTIONS, Options, checked
from ..flags import CloneFlag

T = TypeVar("T")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NEW = {**NAMESPACES, "time": CloneFlag.NEWTIME.value}
_MODES = {
    "read": os.O_RDONLY,
    "write": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "append": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "both": os.O_RDWR | os.O_CREAT,
}
_LAST_PROCESSOR = 0xFFFF  # of any kernel that there is; a typing error shall not cost minutes
_NEW_FILE_MODE = 0o666  # and what the umask leaves of it


class Stream(NamedTuple):
    """What a descriptor of the program shall be: one of ours, or a file to open."""

    descriptor: int | None
    path: str = ""
    mode: int = 0

    def opened(self) -> int:
        """Its descriptor, the caller's to close when it is a file's."""
        if self.descriptor is not None:
            return self.descriptor
        return os.open(self.path, self.mode | os.O_CLOEXEC | os.O_NOCTTY, _NEW_FILE_MODE)


# ---- how the texts are read; each raises ValueError with a sentence


def _text(text: str) -> str:
    return text


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def _numbers(text: str) -> list[int]:
    return [_number(word) for word in text.split(",")]


def _octal(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise ValueError(f"{text!r} is no octal number") from None


def _id(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _names(text: str) -> list[str]:
    return [] if text == "none" else text.split(",")


def _ids(text: str) -> list[int | str]:
    return [_id(name) for name in _names(text)]


def _signal(text: str) -> int | str:
    return _id(text)


def _securebits(text: str) -> int | list[str]:
    return _number(text) if text[:1].isdecimal() else _names(text)


def _pair(text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"{text!r} is not {form}")
    return name, value


def _rlimit(text: str) -> dict[str, tuple[int | None, int | None]]:
    name, value = _pair(text, "NAME=SOFT:HARD")
    soft, colon, hard = value.partition(":")
    return {name: (_limit(soft), _limit(hard if colon else soft))}


def _limit(text: str) -> int | None:
    return None if text in {"unlimited", "infinity"} else _number(text)


def _processors(text: str) -> list[int]:
    chosen: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = _number(first)
        high = _number(last) if dash else low
        if high < low:
            raise ValueError(f"{part!r} runs backwards")
        if high > _LAST_PROCESSOR:
            raise ValueError(f"there is no processor {high}")
        chosen += range(low, high + 1)
    return chosen


def _name_with_numbers(text: str) -> tuple[str | int, ...]:
    name, *numbers = text.split(":")
    return (name, *(_number(number) for number in numbers))


def _id_map(text: str) -> list[tuple[int, int, int]]:
    lines = []
    for line in text.split(","):
        parts = line.split(":")
        if len(parts) != 3:  # noqa: PLR2004 - as the form says
            raise ValueError(f"{line!r} is not INSIDE:OUTSIDE:COUNT")
        inside, outside, count = map(_number, parts)
        lines.append((inside, outside, count))
    return lines


def _flags(text: str) -> int:
    return CloneFlag.parse(text).value


def _new(text: str) -> int:
    flags = 0
    for name in text.split(","):
        flags |= find(_NEW, name, "namespace")
    return flags


def _join(text: str) -> dict[str, str | int]:
    kind, where = _pair(text, "KIND=PATH or KIND=PID")
    find(_NEW, kind, "namespace")
    source = _id(where)
    # Whether it is there: an error in its opening would not tell of which option.
    if isinstance(source, int):
        os.close(os.pidfd_open(source))
    else:
        os.stat(source)
    return {kind: source}


def _assignment(text: str) -> tuple[str, str]:
    return _pair(text, "NAME=VALUE")


def seconds(text: str) -> float:
    """A duration as timeout(1) and sleep(1) take it; 0 is none."""
    unit = _SECONDS.get(text[-1:])
    try:
        duration = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        duration = math.nan
    if not 0 <= duration < math.inf:
        raise ValueError(f"{text!r} is no duration: 5, 0.5, 2m, 1h, 1d")
    return duration


def stream(usual: str) -> Callable[[str], Stream]:
    """How a file is read that is opened in the usual way when no other is said."""

    def read(text: str) -> Stream:
        kind, colon, rest = text.partition(":")
        if colon and kind == "fd":
            descriptor = _number(rest)
            # Now, before a file of our own gets that number.
            os.fstat(descriptor)
            return Stream(descriptor)
        if colon and kind in _MODES:
            return Stream(None, rest, _MODES[kind])
        return Stream(None, text, _MODES[usual])

    return read


def _descriptor(text: str) -> dict[int, Stream]:
    number, target = _pair(text, "N=FILE or N=fd:M")
    return {_number(number): stream("read")(target)}


# ---- the options


class _Reading(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4
    """A text that becomes a word of the vocabulary, checked as soon as it is read."""

    name = "text"

    def __init__(self, read: Callable[[str], Any], word: str | None) -> None:
        self._read = read
        self._word = word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What the vocabulary takes."""
        try:
            found = self._read(value)
            if self._word is not None:
                checked({self._word: found}, PROGRAM_OPTIONS)
        except (ValueError, TypeError, OverflowError) as error:
            self.fail(str(error), param, ctx)
        except OSError as error:
            self.fail(f"{value!r}: {error.strerror}", param, ctx)
        return found


class ShellOption(click.Option):
    """An option, the section of the help that it stands in, and the word that it becomes."""

    def __init__(
        self,
        name: str,
        *,
        section: str,
        word: str | None = None,
        means: object = None,
        join: Callable[[Any, Any], Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__([name], **more)
        self.section = section
        self.word = word
        self.means = means
        self.join = join

    def said(self, values: Mapping[str, Any]) -> list[Any]:
        """What it has come to be, each time that it was given."""
        value = values[str(self.name)]
        if self.is_flag:
            return [self.means] if value else []
        if self.multiple:
            return list(value)
        return [] if value is None else [value]


def option(
    section: str,
    name: str,
    metavar: str,
    read: Callable[[str], Any],
    text: str,
    word: str | None = None,
    join: Callable[[Any, Any], Any] | None = None,
) -> ShellOption:
    """An option with a value; one with `join` may be given many times."""
    return ShellOption(
        name,
        section=section,
        word=word,
        join=join,
        metavar=metavar,
        help=text,
        multiple=join is not None,
        type=_Reading(read, word),
    )


def switch(
    section: str, name: str, text: str, word: str | None = None, means: object = True
) -> ShellOption:
    """An option without a value."""
    return ShellOption(name, section=section, word=word, means=means, help=text, is_flag=True)


def _either(first: dict[Any, Any], second: dict[Any, Any]) -> dict[Any, Any]:
    return {**first, **second}


_WHO = "Identity and rights"
_LIMITS = "Limits and priorities"
_SPACES = "Namespaces and the clone call"
_PLACE = "Place and environment"
_FILES = "Descriptors"
_SIGNALS = "Session and signals"

_KEPT = "NAME,... of capabilities, or none: the whole of the "

OPTIONS: tuple[ShellOption, ...] = (
    option(_WHO, "--user", "NAME|ID", _id, "User; groups are not changed by it.", "user"),
    option(_WHO, "--group", "NAME|ID", _id, "Group.", "group"),
    option(_WHO, "--groups", "A,B|none", _ids, "Supplementary groups.", "extra_groups"),
    switch(_WHO, "--init-groups", "With --user: its group and groups, as at a login.", "init_groups"),
    switch(_WHO, "--no-new-privs", "No exec gives more rights.", "no_new_privs"),
    option(_WHO, "--ambient-caps", "CAPS", _names, _KEPT + "ambient set.", "ambient_caps"),
    option(
        _WHO, "--inheritable-caps", "CAPS", _names, "As above: inheritable.", "inheritable_caps"
    ),
    option(_WHO, "--permitted-caps", "CAPS", _names, "As above: permitted.", "permitted_caps"),
    option(_WHO, "--bounding-caps", "CAPS", _names, "As above: bounding.", "bounding_caps"),
    option(_WHO, "--securebits", "NAMES|N", _securebits, "NOROOT,... or a number.", "securebits"),
    option(
        _LIMITS,
        "--rlimit",
        "NAME=N[:N]",
        _rlimit,
        "NOFILE=64, AS=unlimited, CPU=10:20 (soft:hard); may be repeated.",
        "rlimits",
        _either,
    ),
    option(_LIMITS, "--nice", "N", _number, "Niceness, -20 to 19, not added.", "nice"),
    option(_LIMITS, "--cpus", "0-2,5", _processors, "Processors.", "cpu_affinity"),
    option(
        _LIMITS,
        "--scheduler",
        "POLICY[:N]",
        _name_with_numbers,
        "other, batch, idle, fifo:10, rr:10, deadline:RUNTIME:DEADLINE:PERIOD (ns).",
        "scheduler",
    ),
    option(
        _LIMITS,
        "--io-priority",
        "CLASS[:N]",
        _name_with_numbers,
        "idle, be:4, rt:0.",
        "io_priority",
    ),
    option(
        _LIMITS, "--oom-score-adj", "N", _number, "-1000 (never) to 1000 (first).", "oom_score_adj"
    ),
    option(_LIMITS, "--timer-slack", "NS", _number, "Nanoseconds.", "timer_slack_ns"),
    switch(_LIMITS, "--no-aslr", "Addresses are not random.", "aslr", means=False),
    option(_LIMITS, "--personality", "N", _number, "As in personality(2).", "personality"),
    option(
        _LIMITS, "--cgroup", "DIR", _text, "Born in this cgroup; version 1 moves.", "cgroup"
    ),
    option(
        _SPACES,
        "--new",
        "KIND,...",
        _new,
        "New namespaces: user, pid, net, mnt, uts, ipc, cgroup, time.",
        "flags",
        operator.or_,
    ),
    option(
        _SPACES,
        "--flags",
        "FLAGS",
        _flags,
        "Any clone flags: 'CLONE_NEWNS|CLONE_IO'.",
        "flags",
        operator.or_,
    ),
    switch(_SPACES, "--map-root", "A new user namespace, in which I am root."),
    option(
        _SPACES,
        "--uid-map",
        "IN:OUT:N",
        _id_map,
        "A new user namespace: N ids from IN on are those from OUT on; may be repeated.",
        "uid_map",
        operator.add,
    ),
    option(_SPACES, "--gid-map", "IN:OUT:N", _id_map, "As above.", "gid_map", operator.add),
    option(_SPACES, "--hostname", "NAME", _text, "Host name, with --new uts.", "hostname"),
    switch(_SPACES, "--loopback", "lo is up, with --new net.", "loopback"),
    option(
        _SPACES,
        "--join",
        "KIND=WHICH",
        _join,
        "An existing namespace, by path or pid: net=/run/netns/a, pid=4711; may be repeated.",
        "namespaces",
        _either,
    ),
    option(
        _SPACES, "--set-tid", "PID,...", _numbers, "Its pid, the innermost namespace's first.",
        "set_tid",
    ),
    option(_PLACE, "--cwd", "DIR", _text, "Working directory, within --root.", "cwd"),
    option(_PLACE, "--root", "DIR", _text, "Root directory: chroot(2).", "root"),
    option(_PLACE, "--umask", "022", _octal, "Mask of new files, in octal.", "umask"),
    option(
        _PLACE, "--env", "NAME=VALUE", _assignment, "Set; may be repeated.", join=operator.add
    ),
    option(_PLACE, "--unset-env", "NAME", _text, "Unset; may be repeated.", join=operator.add),
    switch(_PLACE, "--clear-env", "Begin with an empty environment."),
    option(_PLACE, "--arg0", "NAME", _text, "What the program is told as its name.", "arg0"),
    option(_PLACE, "--executable", "FILE", _text, "The file to run for it.", "executable"),
    option(_FILES, "--stdin", "FILE", stream("read"), "Standard input."),
    option(
        _FILES,
        "--stdout",
        "FILE",
        stream("write"),
        "Standard output; 'append:FILE' adds to it, 'fd:N' is descriptor N of the caller.",
    ),
    option(_FILES, "--stderr", "FILE", stream("write"), "Standard error, likewise."),
    option(
        _FILES,
        "--fd",
        "N=FILE",
        _descriptor,
        "Descriptor N: a file to read, 'fd:M', 'write:FILE', 'append:FILE', 'both:FILE'; "
        "may be repeated.",
        join=_either,
    ),
    switch(_FILES, "--close-fds", "Close all others above 2.", "close_fds"),
    switch(_SIGNALS, "--new-session", "setsid(2).", "start_new_session"),
    option(
        _SIGNALS, "--process-group", "PGID", _number, "Its process group; 0: one of its own.",
        "process_group",
    ),
    option(
        _SIGNALS,
        "--controlling-terminal",
        "TTY",
        stream("both"),
        "Of its new session.",
    ),
    switch(_SIGNALS, "--foreground", "Its process group (one of its own) has the terminal."),
    option(_SIGNALS, "--signal-mask", "SIGS|none", _names, "Blocked at first.", "signal_mask"),
    option(
        _SIGNALS, "--ignore-signals", "SIGS", _names, "Ignored: HUP,PIPE.", "ignored_signals"
    ),
    option(_SIGNALS, "--default-signals", "SIGS", _names, "At default.", "default_signals"),
    option(
        _SIGNALS, "--pdeathsig", "SIG", _signal, "What it gets when ramet's end comes.", "pdeathsig"
    ),
    switch(_SIGNALS, "--die-with-parent", "Killed when ramet ends.", "die_with_parent"),
)  # fmt: skip


def vocabulary(values: Mapping[str, Any]) -> Options:
    """What was said in the words of the library; the files of --stdin and the like are not in it."""
    # As with env(1), what the caller has open stays open.
    said: dict[str, Any] = {"close_fds": False}
    given: set[str] = set()
    for one in OPTIONS:
        if one.word is None:
            continue
        for value in one.said(values):
            join = one.join if one.word in given else None
            said[one.word] = value if join is None else join(said[one.word], value)
            given.add(one.word)
    if values["map_root"]:
        said["uid_map"] = [(0, os.geteuid(), 1), *said.get("uid_map", ())]
        said["gid_map"] = [(0, os.getegid(), 1), *said.get("gid_map", ())]
    if "uid_map" in said or "gid_map" in said:
        said["flags"] = said.get("flags", 0) | CloneFlag.NEWUSER.value
    if values["env"] or values["unset_env"] or values["clear_env"]:
        said["env"] = _environment(values)
    elif (coerced := _without_coercion()) is not None:
        said["env"] = coerced
    return said  # type: ignore[return-value] # by way of the names in the table


def _environment(values: Mapping[str, Any]) -> dict[str, str]:
    kept = {} if values["clear_env"] else (_without_coercion() or dict(os.environ))
    for name in values["unset_env"]:
        kept.pop(name, None)
    kept.update(values["env"])
    return kept


def _without_coercion() -> dict[str, str] | None:
    """The environment without what Python has set in it for itself; None when that is nothing.

    Source: PEP 538.
    """
    if os.environ.get("LC_CTYPE") not in {"C.UTF-8", "C.utf8", "UTF-8"}:
        return None
    try:
        with open("/proc/self/environ", "rb") as file:
            ours = file.read().split(b"\0")
    except OSError:
        return None
    if any(assignment.startswith(b"LC_CTYPE=") for assignment in ours):
        return None
    return {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}
