"""The kinds of values that options take: each in words, as a type, and with its check.

A check gets the name, for an error, and the value, and gives what is kept: numbers and bytes as the system
call wants them. For an error without a text one is made that says what the kind expects.
"""

import os
import subprocess
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import index
from typing import Any, ClassVar, Protocol, TypeAlias, cast

from .._kernel import names, user_ids
from .._kernel.names import LARGEST_ID, LARGEST_INT, HasFileno, bits, find, nearest, signal_number
from ..errors import UnknownNameError
from ..flags import flag_bits

Text: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Environment: TypeAlias = Mapping[str, str] | Mapping[bytes, bytes]
Limit: TypeAlias = int | str | None
IdMap: TypeAlias = Sequence[tuple[int, int, int]]
Descriptor: TypeAlias = int | HasFileno
Signal: TypeAlias = int | str

DEVNULL = subprocess.DEVNULL

_LARGEST_32 = (1 << 32) - 1
_LARGEST_64 = _UNLIMITED = (1 << 64) - 1
_LONGEST_HOSTNAME = 64
_LAST_PROCESSOR = (1 << 16) - 1  # of any kernel that can be built
_REAL_TIME = "(policy, priority from 1 to 99)"
_DEADLINE = "(policy, runtime, deadline, period), each in nanoseconds of 64 bits"
_IO_CLASS_SHIFT, _LAST_IO_LEVEL = 13, 7
# What follows a policy: how many numbers, from what to what, and the form in words.
_AFTER_POLICY = {
    names.SCHEDULERS["FIFO"]: (1, 1, 99, _REAL_TIME),
    names.SCHEDULERS["RR"]: (1, 1, 99, _REAL_TIME),
    names.SCHEDULERS["DEADLINE"]: (3, 0, _LARGEST_64, _DEADLINE),
}
_DESCRIPTOR = "an int from 0 on, or an object with fileno()"
_SOURCE = "an int from 0 on, an object with fileno(), or subprocess.DEVNULL"
_NAMESPACE = "a path, a pid, or an object with fileno() (a namespace's, or a pidfd)"
_SIGNAL = "a number from 1 to 64 or a name"
_ID = f"a name, or an id from 0 to {LARGEST_ID}"
_LIMIT = "an int from 0 on, (soft, hard) or None for no limit"
_LIST = "a list or other iterable of"


class Kind:  # a NamedTuple takes longer to make than all else here
    """What values an option takes: the name of the kind, in words, as a type, and the check."""

    __slots__ = ("check", "expected", "name", "type")

    def __init__(
        self, name: str, expected: str, of: object, check: Callable[[str, Any], Any]
    ) -> None:
        self.name, self.expected, self.type, self.check = name, expected, of, check


def _kind(expected: str, of: object) -> Callable[[Callable[[str, Any], Any]], Kind]:
    return lambda check: Kind(check.__name__, expected, of, check)


def invalid(
    what: str, expected: str, got: object, error: type[Exception] = ValueError, hint: str = ""
) -> Exception:
    """The error for a value: what was invalid, what was expected, what it got, what to do."""
    from reprlib import repr as shortened

    return error(f"invalid {what}: expected {expected}, got {shortened(got)}{hint and '; '}{hint}")


def refusal(kind: Kind, name: str, value: Any, error: Exception) -> Exception:
    """The error of a check, in words that say which option it is about."""
    if isinstance(error, UnknownNameError):
        error.option = name
        return error
    if isinstance(error, UnicodeError) or str(error).startswith(f"invalid {name}"):
        return error
    return invalid(name, kind.expected, value, type(error))


def integer(value: Any, low: int, high: int, beyond: type[Exception] = ValueError) -> int:
    """The value as an int within these bounds; a bool is none."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError
    if not low <= (number := index(value)) <= high:
        raise beyond
    return number


def descriptor_of(what: str, value: Descriptor, expected: str = _DESCRIPTOR) -> int:
    """The number of a descriptor or a file."""
    fileno = getattr(value, "fileno", None)
    try:
        number = fileno() if fileno else value if isinstance(value, int) else None
        # The kernel looks at 32 bits only: a larger number would name another descriptor.
        return integer(number, 0, LARGEST_INT)
    except (TypeError, ValueError) as error:  # a closed file says that it is
        hint = str(error) if type(error) is ValueError else ""
        raise invalid(what, expected, value, type(error), hint) from None


def _truth(value: Any) -> bool:
    if value not in {False, True}:  # 0 and 1 are these
        raise TypeError
    return bool(value)


def _pairs(value: Any) -> Iterable[tuple[Any, Any]]:
    if not isinstance(value, Mapping):
        raise TypeError
    return value.items()


def _several(value: Iterable[Any]) -> Iterable[Any]:
    """Several names: a single string would be taken letter by letter."""
    if isinstance(value, str | bytes):
        raise TypeError
    return value


def number(low: int, high: int) -> Kind:
    """A kind: an int within these bounds."""
    expected = f"an int from {low} to {high}"
    return Kind("number", expected, int, lambda _, value: integer(value, low, high))


flag = Kind("flag", "True or False", bool, lambda _, value: _truth(value))
path = Kind("path", "a path: str, bytes or os.PathLike", Text, lambda _, value: os.fsencode(value))
mode = Kind("mode", "an int from 0 to 0o7777", int, lambda _, value: integer(value, 0, 0o7777))
signal = Kind("signal", _SIGNAL, Signal, lambda _, value: signal_number(value))
user = Kind("user", _ID, str | int, lambda _, value: id_of("user", value))
group = Kind("group", _ID, str | int, lambda _, value: id_of("group", value))
descriptor = Kind("descriptor", _DESCRIPTOR, Descriptor, descriptor_of)


_PRESETS = frozenset({"strict", "build", "agent", "judge"})


class Description(Protocol):
    """A ramet.Sandbox: the room that has it is above this one."""

    is_sandbox: ClassVar[bool]


@_kind("a ramet.Sandbox", Description)
def sandbox(name: str, given: Any) -> Any:
    if not getattr(type(given), "is_sandbox", False):
        raise invalid(name, "a ramet.Sandbox", given, TypeError, _meant_sandbox(given))
    return given


def _meant_sandbox(given: Any) -> str:
    if any(getattr(one, "is_sandbox", False) for one in (given, getattr(given, "__self__", None))):
        return "call it, as in sandbox=Sandbox.strict()"
    if isinstance(given, str) and given in _PRESETS:
        return f"that preset is made by Sandbox.{given}(...)"
    if isinstance(given, Mapping) and given and all(isinstance(name, str) for name in given):
        wishes = ", ".join(f"{name}=..." for name in given)
        return f"its wishes are keywords: sandbox=Sandbox({wishes})"
    return "Sandbox() is one, Sandbox.strict() allows least" if given is True else ""


@_kind(f"{_LIST} descriptors", Iterable[int])
def descriptors(what: str, value: Iterable[Any]) -> tuple[int, ...]:
    return tuple(descriptor_of(what, number) for number in value)


@_kind(f"a list or tuple of pids from 1 to {LARGEST_INT}", Sequence[int])
def pids(_: str, value: Sequence[int]) -> tuple[int, ...]:
    return tuple(integer(pid, 1, LARGEST_INT) for pid in value)


def _target(what: str, value: Any) -> int:
    if isinstance(value, int) and value in (subprocess.PIPE, subprocess.STDOUT):
        name = "PIPE" if value == subprocess.PIPE else "STDOUT"
        raise ValueError(
            f"invalid {what}: expected {_SOURCE}, got {name}, which only Popen and run take"
        )
    return DEVNULL if value is DEVNULL else descriptor_of(what, value, _SOURCE)


target = Kind("target", _SOURCE, Descriptor, _target)


@_kind(
    "a mapping of the child's descriptors to the caller's, files or DEVNULL",
    Mapping[int, Descriptor],
)
def targets(what: str, value: Mapping[int, Any]) -> dict[int, int]:
    return {
        descriptor_of(what, number): _target(f"{what}[{number}]", source)
        for number, source in _pairs(value)
    }


@_kind(f"{_LIST} signals, each {_SIGNAL}", Iterable[Signal])
def signals(_: str, value: Iterable[Signal]) -> tuple[int, ...]:
    return tuple(signal_number(one) for one in _several(value))


@_kind(signals.expected, Iterable[Signal])
def signal_mask(_: str, value: Iterable[Signal]) -> int:
    return bits(signal_number(one) - 1 for one in _several(value))


def id_of(sort: str, value: str | int, now: user_ids.FileVersions = None) -> int:
    """The number of a user or group, as the sort says; now: what file_versions() has just given."""
    if not isinstance(value, str):
        # The kernel takes 32 bits of an id: a larger one would be another.
        return integer(value, 0, LARGEST_ID, OverflowError)
    number_of = user_ids.uid if sort == "user" else user_ids.gid
    try:
        return number_of(value, now or user_ids.file_versions())
    except KeyError:
        raise UnknownNameError(sort, value, nearest(value, _all_names(sort))) from None


def _all_names(sort: str) -> list[str]:
    import grp
    import pwd

    if sort == "user":
        return [user.pw_name for user in pwd.getpwall()]
    return [group.gr_name for group in grp.getgrall()]


@_kind(f"{_LIST} groups, each {_ID}", Iterable[str | int])
def groups(_: str, value: Iterable[str | int]) -> "array[int]":
    return array("I", [id_of("group", one) for one in _several(value)])


@_kind(f"{_LIST} capabilities by name", Iterable[str])
def capabilities(_: str, value: Iterable[str]) -> int:
    return bits(find(names.CAPABILITIES, name, "capability", "CAP_") for name in _several(value))


@_kind(f"secure bits by name, or an int from 0 to {_LARGEST_32}", int | Iterable[str])
def securebits(_: str, value: int | Iterable[str]) -> int:
    if isinstance(value, int):
        return integer(value, 0, _LARGEST_32)
    mask = 0
    for name in _several(value):
        mask |= find(names.SECUREBITS, name, "secure bit", "SECBIT_")
    return mask


@_kind(
    "a mapping of limits, by name or number, to an int, (soft, hard) or None for no limit",
    Mapping[str | int, Limit | tuple[Limit, Limit]],
)
def rlimits(what: str, value: Mapping[str | int, Any]) -> dict[str, tuple[int, int, int]]:
    return dict(_rlimit(what, which, limit) for which, limit in _pairs(value))


def _rlimit(what: str, which: str | int, limit: Any) -> tuple[str, tuple[int, int, int]]:
    if isinstance(which, str):
        resource = find(names.RLIMITS, which, "limit", "RLIMIT_")
    else:
        resource = integer(which, 0, LARGEST_INT)
    name = next((name for name, known in names.RLIMITS.items() if known == resource), str(resource))
    both = limit if isinstance(limit, tuple | list) else (limit, limit)
    try:
        soft, hard = map(_limit, both)
    except (TypeError, ValueError) as error:
        hint = "a size is a number of bytes, as 1 << 30" if isinstance(limit, str) else ""
        raise invalid(f"{what}[{name!r}]", _LIMIT, limit, type(error), hint) from None
    return name, (resource, soft, hard)


def _limit(value: Limit) -> int:
    if value is None or value in (-1, "unlimited"):
        return _UNLIMITED
    if not isinstance(value, str):
        return integer(value, 0, _UNLIMITED)
    raise ValueError


@_kind(f"{_LIST} processor numbers from 0 to {_LAST_PROCESSOR}, at least one", Iterable[int])
def processors(_: str, value: Iterable[int]) -> bytes:
    mask = bits(integer(processor, 0, _LAST_PROCESSOR) for processor in value)
    if mask == 0:
        raise ValueError
    words = (mask.bit_length() + 63) // 64
    return mask.to_bytes(words * 8, "little")


@_kind(
    f"a policy by name; for FIFO and RR {_REAL_TIME}; for DEADLINE {_DEADLINE}",
    str | tuple[Any, ...],
)
def scheduler(what: str, value: str | tuple[Any, ...]) -> tuple[int, tuple[int, ...]]:
    policy, needs = _named_with_numbers(names.SCHEDULERS, value, "scheduling policy", "SCHED_")
    count, low, high, form = _AFTER_POLICY.get(policy, (0, 0, 0, "a policy alone"))
    if len(needs) != count or not all(low <= need <= high for need in needs):
        raise invalid(what, form, value)
    return policy, needs


@_kind("a class by name, or (class, level from 0 to 7)", str | tuple[Any, ...])
def io_priority(_: str, value: str | tuple[Any, ...]) -> int:
    which, levels = _named_with_numbers(
        names.IO_CLASSES, value, "class of I/O priority", "IOPRIO_CLASS_"
    )
    (level,) = levels or (0,)
    return which << _IO_CLASS_SHIFT | integer(level, 0, _LAST_IO_LEVEL)


def _named_with_numbers(
    known: Mapping[str, int], value: str | tuple[Any, ...], what: str, prefix: str
) -> tuple[int, tuple[int, ...]]:
    name, *numbers = (value,) if isinstance(value, str) else (tuple(value) or ("",))
    found = find(known, name, what, prefix)
    return found, tuple(integer(number, -_LARGEST_64, _LARGEST_64) for number in numbers)


@_kind(f"a name of at most {_LONGEST_HOSTNAME} bytes", str | bytes)
def hostname(what: str, value: str | bytes) -> bytes:
    name = os.fsencode(value)
    if len(name) > _LONGEST_HOSTNAME:
        raise invalid(what, f"a name of at most {_LONGEST_HOSTNAME} bytes", len(name))
    return name


@_kind(
    f"a mapping of 'net', 'mnt', ... to {_NAMESPACE}",
    Mapping[str, str | os.PathLike[str] | Descriptor],
)
def namespaces(what: str, value: Mapping[str, Any]) -> dict[str, Any]:
    if "time" in dict(_pairs(value)):
        raise ValueError(
            f"invalid {what}['time']: a child shares its caller's memory until its exec, and only a task "
            "that shares none can join a time namespace; call os.setns() in clone(fn) without VM"
        )
    for name, source in value.items():
        find(names.NAMESPACES, name, "namespace")
        if not isinstance(source, str | os.PathLike):
            descriptor_of(f"{what}[{name!r}]", source, _NAMESPACE)
    return dict(value)


@_kind(
    f"lines of (inside, outside, count), each an int from 0 to {_LARGEST_32}, count not 0", IdMap
)
def id_map(_: str, value: IdMap) -> tuple[tuple[int, int, int], ...]:
    lines = tuple(tuple(integer(number, 0, _LARGEST_32) for number in line) for line in value)
    if not lines or not all(len(line) == 3 and line[2] > 0 for line in lines):  # noqa: PLR2004
        raise ValueError
    return cast("tuple[tuple[int, int, int], ...]", lines)


@_kind("a mapping of names to values, all str or all bytes", Environment)
def environment(what: str, value: Environment) -> tuple[bytes, ...]:
    if not isinstance(value, Mapping):  # its values may be secret
        kind = type(value).__name__
        raise TypeError(f"invalid {what}: expected {environment.expected}, got a {kind}")
    return tuple(_assignment(what, name, text) for name, text in _pairs(value))


def _assignment(what: str, name: str | bytes, value: str | bytes) -> bytes:
    try:
        name, text = os.fsencode(name), os.fsencode(value)
    except TypeError:
        raise invalid(f"{what}[{name!r}]", "str or bytes", value, TypeError) from None
    if b"=" in name:
        raise invalid(what, "names without '='", name)
    return name + b"=" + text


@_kind("a CloneFlag or an int from 0 on", int)
def flags(_: str, value: int) -> int:
    if flag_bits(value) < 0:
        raise ValueError
    return index(value)


@_kind("a directory: a path or a descriptor", str | os.PathLike[str] | Descriptor)
def cgroup(what: str, value: Any) -> Any:
    if not isinstance(value, str | bytes | os.PathLike):
        descriptor_of(what, value, cgroup.expected)
    return value
