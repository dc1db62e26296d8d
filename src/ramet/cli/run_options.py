"""The options of `ramet run`, made from the rows of the library's options."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .._kernel.names import NAMESPACES, find
from .._setup.rows import OPTIONS, Option, Shell
from .._setup.validate import validate
from ..flags import CloneFlag

if TYPE_CHECKING:
    from .._setup.options import Options

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NEW = {**NAMESPACES, "time": CloneFlag.NEWTIME.value}
_MODES = {
    "read": os.O_RDONLY,
    "write": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "append": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "both": os.O_RDWR | os.O_CREAT,
}
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


def _number(text: str) -> int:
    return _int(text, 0, "a number")


def _octal(text: str) -> int:
    return _int(text, 8, "an octal number")


def _int(text: str, base: int, expected: str) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise ValueError(f"expected {expected}, got {text!r}") from None


def _numbers(text: str) -> list[int]:
    return [_number(word) for word in text.split(",")]


def _id(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _names(text: str) -> list[str]:
    return [] if text == "none" else text.split(",")


def _ids(text: str) -> list[int | str]:
    return [_id(name) for name in _names(text)]


def _securebits(text: str) -> int | list[str]:
    return _number(text) if text[:1].isdecimal() else _names(text)


def _pair(text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"expected {form}, got {text!r}")
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
            raise ValueError(f"expected LOW-HIGH, got {part!r}")
        validate({"cpu_affinity": [high]}, OPTIONS)  # a typing error shall not cost minutes
        chosen += range(low, high + 1)
    return chosen


def _name_with_numbers(text: str) -> tuple[str | int, ...]:
    name, *numbers = text.split(":")
    return (name, *(_number(number) for number in numbers))


def _id_map(text: str) -> list[tuple[int, ...]]:
    lines = [tuple(map(_number, line.split(":"))) for line in text.split(",")]
    if not all(len(line) == len(("inside", "outside", "count")) for line in lines):
        raise ValueError(f"expected INSIDE:OUTSIDE:COUNT, got {text!r}")
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


def seconds(text: str) -> float:
    """A duration as timeout(1) and sleep(1) take it; 0 is none."""
    unit = _SECONDS.get(text[-1:])
    try:
        duration = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        duration = math.nan
    if not 0 <= duration < math.inf:
        raise ValueError(f"expected a duration (5, 0.5, 2m, 1h, 1d), got {text!r}")
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


# How a text is read: by what a row says of it, or else by the kind of its option; as it is for all others.
_READERS: Mapping[str, Callable[[str], Any]] = {
    "number": _number,
    "mode": _octal,
    "pids": _numbers,
    "flags": _flags,
    "rlimits": _rlimit,
    "user": _id,
    "group": _id,
    "groups": _ids,
    "signal": _id,
    "signals": _names,
    "signal_mask": _names,
    "capabilities": _names,
    "securebits": _securebits,
    "id_map": _id_map,
    "processors": _processors,
    "scheduler": _name_with_numbers,
    "io_priority": _name_with_numbers,
    "namespaces": _join,
    "kinds of namespaces": _new,
    "descriptor and file": _descriptor,
    "assignment": lambda text: _pair(text, "NAME=VALUE"),
    "file to read": stream("read"),
    "file to write": stream("write"),
    "terminal": stream("both"),
}


# ---- the options


class _Reading(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4
    """A text that becomes the value of an option, checked as soon as it is read."""

    name = "text"

    def __init__(self, read: Callable[[str], Any], option: str | None) -> None:
        self._read = read
        self._option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What the option takes."""
        try:
            found = self._read(value)
            if self._option is not None:
                validate({self._option: found}, OPTIONS)
        except (ValueError, TypeError, OverflowError) as error:
            self.fail(str(error).removeprefix(f"invalid {self._option}: "), param, ctx)
        except OSError as error:
            self.fail(f"{value!r}: {error.strerror}", param, ctx)
        return found


class ShellOption(click.Option):
    """An option, the heading under which the help has it, and the option of the library that it becomes.

    shell: as in a row; read: how its text is read.
    """

    def __init__(
        self,
        heading: str,
        shell: Shell,
        read: Callable[[str], Any] = str,
        becomes: str | None = None,
    ) -> None:
        self.heading, self.becomes, self.means = heading, becomes, shell.means
        more: dict[str, Any] = {"is_flag": True}
        if shell.value:
            more = {
                "metavar": shell.value,
                "multiple": shell.repeated,
                "type": _Reading(read, becomes),
            }
        super().__init__([shell.name], help=shell.text, **more)

    def given(self, values: Mapping[str, Any]) -> list[Any]:
        """What it has come to be, each time that it was given."""
        value = values[str(self.name)]
        if self.is_flag:
            return [self.means] if value else []
        if self.multiple:
            return list(value)
        return [] if value is None else [value]


def from_row(row: Option) -> Iterator[ShellOption]:
    """The options that an option of the library has in a shell."""
    for shell in row.shell:
        text = ": ".join(filter(None, [(shell.text or row.text).removesuffix("."), shell.form]))
        text += "; may be repeated." if shell.repeated else "."
        read = _READERS[shell.reader] if shell.reader else _READERS.get(row.kind.name, str)
        yield ShellOption(
            row.group, shell._replace(text=text), read, None if shell.own_way else row.name
        )


def from_rows() -> list[ShellOption]:
    """All of them, under their headings."""
    return [option for row in OPTIONS.values() for option in from_row(row)]


def library_options(given: Mapping[str, Any]) -> "Options":
    """What was given as options of the library; the files of --stdin and the like are not in it."""
    # As with env(1), what the caller has open stays open.
    options: dict[str, Any] = {"close_fds": False}
    for one in from_rows():
        if one.becomes is not None:
            for value in one.given(given):
                before = options.get(one.becomes) if one.multiple else None
                options[one.becomes] = value if before is None else _joined(before, value)
    if given["map_root"]:
        options["uid_map"] = [(0, os.geteuid(), 1), *options.get("uid_map", ())]
        options["gid_map"] = [(0, os.getegid(), 1), *options.get("gid_map", ())]
    if "uid_map" in options or "gid_map" in options:
        options["flags"] = options.get("flags", 0) | CloneFlag.NEWUSER.value
    if given["env"] or given["unset_env"] or given["clear_env"]:
        options["env"] = _environment(given)
    elif (coerced := _without_coercion()) is not None:
        options["env"] = coerced
    return options  # type: ignore[return-value] # by way of the names in the rows


def _joined(one: Any, other: Any) -> Any:
    """Two values of an option that may be repeated: flags, mappings or lists."""
    return one + other if isinstance(one, list) else one | other


def _environment(given: Mapping[str, Any]) -> dict[str, str]:
    kept = {} if given["clear_env"] else (_without_coercion() or dict(os.environ))
    for name in given["unset_env"]:
        kept.pop(name, None)
    kept.update(given["env"])
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
