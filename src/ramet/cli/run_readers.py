"""How the texts of `ramet run`'s options are read; each reader raises ValueError for an invalid text."""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

from .._kernel.names import NAMESPACES, find
from .._setup.rows import OPTIONS
from .._setup.validate import validate
from ..flags import CloneFlag

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
NEW = {**NAMESPACES, "time": CloneFlag.NEWTIME.value}
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

    def opened_within(self, held: ExitStack) -> int:
        """The same, closed with that when it is a file's."""
        descriptor = self.opened()
        if self.descriptor is None:
            held.callback(os.close, descriptor)
        return descriptor


def given_descriptors(given: Iterable[Mapping[int, Stream]]) -> dict[int, Stream]:
    """What --fd says, of all times that it was given; the last counts."""
    return {number: stream for one in given for number, stream in one.items()}


def _number(text: str, base: int = 0, expected: str = "a number") -> int:
    try:
        return int(text, base)
    except ValueError:
        raise ValueError(f"expected {expected}, got {text!r}") from None


def _id(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _names(text: str) -> list[str]:
    return [] if text == "none" else text.split(",")


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
            raise ValueError(f"expected LOW-HIGH with LOW not above HIGH, got {part!r}")
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


def _new(text: str) -> int:
    flags = 0
    for name in text.split(","):
        flags |= find(NEW, name, "namespace")
    return flags


def _join(text: str) -> dict[str, str | int]:
    kind, where = _pair(text, "KIND=PATH or KIND=PID")
    find(NEW, kind, "namespace")
    source = _id(where)
    # Whether it is there: an error in its opening would not tell of which option.
    if isinstance(source, int):
        os.close(os.pidfd_open(source))
    else:
        os.stat(source)
    return {kind: source}


def _descriptor(text: str) -> dict[int, "Stream"]:
    number, target = _pair(text, "N=FILE or N=fd:M")
    return {_number(number): stream("read")(target)}


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
    """The reader of a file that is opened in the usual way where the text names no other."""

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


# How a text is read, by the name of a kind or of a reader in a row; as it is where neither is here.
READERS: Mapping[str, Callable[[str], Any]] = {
    "number": _number,
    "mode": lambda text: _number(text, 8, "an octal number"),
    "pids": lambda text: [_number(word) for word in text.split(",")],
    "signal": _id,
    "signals": _names,
    "signal_mask": _names,
    "user": _id,
    "group": _id,
    "groups": lambda text: [_id(name) for name in _names(text)],
    "capabilities": _names,
    "securebits": lambda text: _number(text) if text[:1].isdecimal() else _names(text),
    "rlimits": _rlimit,
    "processors": _processors,
    "scheduler": _name_with_numbers,
    "io_priority": _name_with_numbers,
    "flags": lambda text: CloneFlag.parse(text).value,
    "kinds of namespaces": _new,
    "namespaces": _join,
    "id_map": _id_map,
    "assignment": lambda text: _pair(text, "NAME=VALUE"),
    "file to read": stream("read"),
    "file to write": stream("write"),
    "terminal": stream("both"),
    "descriptor and file": _descriptor,
}
