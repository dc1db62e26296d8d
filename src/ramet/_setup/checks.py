"""The kinds of values that options take: each in words, as a type, and with its check.

A check gets the name for an error and the value, and gives what is kept: numbers and bytes as the system
call wants them. From its ValueError or TypeError an error is made that says what the kind expects.
"""

import os
import subprocess
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import index
from typing import Any, TypeAlias

from .._kernel import names, user_ids
from .._kernel.names import HasFileno, bits, find, nearest, signal_number
from ..errors import UnknownNameError
from ..flags import flag_bits

Text: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Environment: TypeAlias = Mapping[str, str] | Mapping[bytes, bytes]
Limit: TypeAlias = int | str | None
IdMap: TypeAlias = Sequence[tuple[int, int, int]]
Descriptor: TypeAlias = int | HasFileno
Signal: TypeAlias = int | str

DEVNULL = subprocess.DEVNULL

_NO_ID = (1 << 32) - 1
_32_BITS = (1 << 32) - 1
_64_BITS = _UNLIMITED = (1 << 64) - 1
_LARGEST_INT = (1 << 31) - 1
_LONGEST_HOSTNAME = 64
_IO_CLASS_SHIFT, _IO_LEVELS = 13, 8
_MOST_PRIORITY = 99
_MOST_PROCESSORS = 1 << 16  # more than any kernel can be built for
_DESCRIPTOR = "an open descriptor: an int from 0 on, or an object with fileno()"


class Kind:  # a NamedTuple takes longer to make than all else here
    """What values an option takes: the name of the kind, in words, as a type, and the check."""

    __slots__ = ("check", "expected", "name", "type")

    def __init__(self, expected: str, type: object, check: Callable[[str, Any], Any]) -> None:  # noqa: A002
        self.name, self.expected, self.type, self.check = check.__name__, expected, type, check


def invalid(
    what: str, expected: str, got: object, error: type[Exception] = ValueError, hint: str = ""
) -> Exception:
    """The error for a value: what was invalid, what was expected, what it got, what to do."""
    from reprlib import repr as shortened

    return error(f"invalid {what}: expected {expected}, got {shortened(got)}{hint and '; '}{hint}")


def checked(kind: Kind, name: str, value: Any) -> Any:
    """What is kept of an option's value; TypeError, ValueError or OverflowError for an invalid one."""
    try:
        return kind.check(name, value)
    except (UnicodeError, UnknownNameError):
        raise
    except (TypeError, ValueError) as error:
        if str(error).startswith((name, f"invalid {name}")):
            raise
        # Python's own words do not say which option they are about.
        raise invalid(name, kind.expected, value, type(error)) from None


def integer(
    what: str,
    value: Any,
    low: int,
    high: int,
    expected: str = "",
    beyond: type[Exception] = ValueError,
) -> int:
    """The value as an int within these bounds; a bool is none."""
    is_int = not isinstance(value, bool) and hasattr(value, "__index__")
    if is_int and low <= (number := index(value)) <= high:
        return number
    expected = expected or f"an int from {low} to {high}"
    raise invalid(what, expected, value, beyond if is_int else TypeError)


def descriptor_of(what: str, value: Descriptor, expected: str = _DESCRIPTOR) -> int:
    """The number of a descriptor or a file."""
    number = value.fileno() if hasattr(value, "fileno") else value
    # The kernel looks at 32 bits only: a larger number would name another descriptor.
    if isinstance(value, int) or value is not number:
        return integer(what, number, 0, _LARGEST_INT, expected)
    raise invalid(what, expected, value, TypeError)


def _kind(expected: str, takes: object) -> Callable[[Callable[[str, Any], Any]], Kind]:
    return lambda check: Kind(expected, takes, check)


def number(low: int, high: int) -> Kind:
    """A kind: an int within these bounds."""
    expected = f"an int from {low} to {high}"

    def number(what: str, value: int) -> int:
        return integer(what, value, low, high, expected)

    return Kind(expected, int, number)


def _pairs(value: Any) -> Iterable[tuple[Any, Any]]:
    if not isinstance(value, Mapping):
        raise TypeError
    return value.items()


def _several(value: Iterable[Any]) -> Iterable[Any]:
    """Several names: a single string would be taken letter by letter."""
    if isinstance(value, str | bytes):
        raise TypeError
    return value


def _target(what: str, value: Any) -> int:
    if isinstance(value, int) and value in (subprocess.PIPE, subprocess.STDOUT):
        name = "PIPE" if value == subprocess.PIPE else "STDOUT"
        raise invalid(what, target.expected, value, hint=f"only Popen and run take {name}")
    return DEVNULL if value is DEVNULL else descriptor_of(what, value, target.expected)


@_kind("True or False", bool)
def flag(_: str, value: object) -> bool:
    return bool(value)


@_kind("a path: str, bytes or os.PathLike", Text)
def path(_: str, value: Text) -> bytes:
    return os.fsencode(value)


@_kind("an int from 0 to 0o7777", int)
def mode(what: str, value: int) -> int:
    return integer(what, value, 0, 0o7777, mode.expected)


@_kind(_DESCRIPTOR, Descriptor)
def descriptor(what: str, value: Descriptor) -> int:
    return descriptor_of(what, value)


@_kind("a descriptor (an int or an object with fileno()) or subprocess.DEVNULL", Descriptor)
def target(what: str, value: Any) -> int:
    return _target(what, value)


@_kind("a mapping of the child's descriptors to the caller's", Mapping[int, Descriptor])
def targets(what: str, value: Mapping[int, Any]) -> dict[int, int]:
    return {
        descriptor_of(what, number): _target(f"{what}[{number}]", source)
        for number, source in _pairs(value)
    }


@_kind("a list or other iterable of descriptors", Iterable[int])
def descriptors(what: str, value: Iterable[Any]) -> tuple[int, ...]:
    return tuple(descriptor_of(what, number) for number in value)


@_kind("a signal: a number from 1 to 64 or a name", Signal)
def signal(what: str, value: Signal) -> int:
    try:
        return signal_number(value)
    except UnknownNameError:
        raise
    except ValueError:
        raise invalid(what, signal.expected, value) from None


@_kind(
    "a list or other iterable of signals, each a number from 1 to 64 or a name", Iterable[Signal]
)
def signals(what: str, value: Iterable[Signal]) -> tuple[int, ...]:
    return tuple(signal.check(what, one) for one in _several(value))


@_kind(signals.expected, Iterable[Signal])
def signal_mask(what: str, value: Iterable[Signal]) -> int:
    return bits(signal.check(what, one) - 1 for one in _several(value))


def id_of(what: str, sort: str, value: str | int, now: user_ids.FileVersions = None) -> int:
    """The number of a user or group, as the sort says; now: what file_versions() has just given."""
    if not isinstance(value, str):
        # The kernel takes 32 bits of an id, and all ones for "leave as it is": neither is asked.
        return integer(what, value, 0, _NO_ID - 1, user.expected, OverflowError)
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


@_kind(f"a name, or an id from 0 to {_NO_ID - 1}", str | int)
def user(what: str, value: str | int) -> int:
    return id_of(what, "user", value)


@_kind(user.expected, str | int)
def group(what: str, value: str | int) -> int:
    return id_of(what, "group", value)


@_kind("a list or other iterable of groups, each a name or an id", Iterable[str | int])
def groups(what: str, value: Iterable[str | int]) -> "array[int]":
    return array("I", [id_of(what, "group", one) for one in _several(value)])


@_kind("a list or other iterable of capabilities by name", Iterable[str])
def capabilities(_: str, value: Iterable[str]) -> int:
    return bits(find(names.CAPABILITIES, name, "capability", "CAP_") for name in _several(value))


@_kind(f"secure bits by name, or an int from 0 to {_32_BITS}", int | Iterable[str])
def securebits(what: str, value: int | Iterable[str]) -> int:
    if isinstance(value, int):
        return integer(what, value, 0, _32_BITS, securebits.expected)
    mask = 0
    for name in _several(value):
        mask |= find(names.SECUREBITS, name, "secure bit", "SECBIT_")
    return mask


@_kind(
    "a mapping of limits, by name or number, to an int, (soft, hard) or None for no limit",
    Mapping[str | int, Limit | tuple[Limit, Limit]],
)
def rlimits(what: str, value: Mapping[str | int, Any]) -> dict[str, tuple[int, int, int]]:
    # Name for the error -> (resource, soft, hard).
    return dict(_rlimit(what, which, limit) for which, limit in _pairs(value))


def _rlimit(what: str, which: str | int, limit: Any) -> tuple[str, tuple[int, int, int]]:
    resource = (
        find(names.RLIMITS, which, "limit", "RLIMIT_")
        if isinstance(which, str)
        else integer(what, which, 0, _LARGEST_INT, "limits by name or number")
    )
    name = next((name for name, known in names.RLIMITS.items() if known == resource), str(resource))
    both = limit if isinstance(limit, tuple | list) else (limit, limit)
    try:
        soft, hard = map(_limit, both)
    except (TypeError, ValueError) as error:
        raise invalid(
            f"{what}[{name!r}]", "an int, (soft, hard) or None", limit, type(error)
        ) from None
    return name, (resource, soft, hard)


def _limit(value: Limit) -> int:
    if value is None or value in (-1, "unlimited"):
        return _UNLIMITED
    if not isinstance(value, str):
        return integer("", value, 0, _UNLIMITED)
    raise ValueError


@_kind("a list or other iterable of processor numbers, at least one", Iterable[int])
def processors(what: str, value: Iterable[int]) -> bytes:
    mask = 0
    for processor in value:
        mask |= 1 << integer(what, processor, 0, _MOST_PROCESSORS - 1)
    if mask == 0:
        raise ValueError
    words = (mask.bit_length() + 63) // 64  # the kernel reads whole words of 64 bits
    return mask.to_bytes(words * 8, "little")


_REAL_TIME = "(policy, priority from 1 to 99)"
_DEADLINE = "(policy, runtime, deadline, period), each in nanoseconds of 64 bits"
# What follows a policy: how many numbers, from what to what, and the form in words.
_AFTER_POLICY = {
    names.SCHEDULERS["FIFO"]: (1, 1, _MOST_PRIORITY, _REAL_TIME),
    names.SCHEDULERS["RR"]: (1, 1, _MOST_PRIORITY, _REAL_TIME),
    names.SCHEDULERS["DEADLINE"]: (3, 0, _64_BITS, _DEADLINE),
}


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
    level = levels[0] if levels else 0
    if len(levels) > 1 or not 0 <= level < _IO_LEVELS:
        raise ValueError
    return which << _IO_CLASS_SHIFT | level


def _named_with_numbers(
    known: Mapping[str, int], value: str | tuple[Any, ...], what: str, prefix: str
) -> tuple[int, tuple[int, ...]]:
    name, *numbers = (value,) if isinstance(value, str) else (tuple(value) or ("",))
    if bool in map(type, numbers):
        raise TypeError
    return find(known, name, what, prefix), tuple(index(number) for number in numbers)


@_kind(f"a name of at most {_LONGEST_HOSTNAME} bytes", str | bytes)
def hostname(_: str, value: str | bytes) -> bytes:
    name = os.fsencode(value)
    if len(name) > _LONGEST_HOSTNAME:
        raise ValueError
    return name


_NAMESPACE = "a path, a pid, or an object with fileno()"


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


@_kind(f"lines of (inside, outside, count), each an int from 0 to {_32_BITS}, count not 0", IdMap)
def id_map(what: str, value: IdMap) -> tuple[tuple[int, int, int], ...]:
    lines = []
    for inside, outside, count in value:
        line = [
            integer(what, one, 0, _32_BITS, id_map.expected) for one in (inside, outside, count)
        ]
        lines.append((line[0], line[1], line[2]))
    if not lines or not all(count for _, _, count in lines):
        raise ValueError
    return tuple(lines)


@_kind("a mapping of names to values, all str or all bytes", Environment)
def environment(what: str, value: Environment) -> tuple[bytes, ...]:
    return tuple(_assignment(what, name, text) for name, text in _pairs(value))


def _assignment(what: str, name: str | bytes, value: str | bytes) -> bytes:
    try:
        name, text = os.fsencode(name), os.fsencode(value)
    except TypeError:
        raise invalid(f"{what}[{name!r}]", "str or bytes", value, TypeError) from None
    if b"=" in name:
        raise invalid(what, "names without '='", name)
    return name + b"=" + text


@_kind("pids, the innermost namespace's first", Sequence[int])
def pids(what: str, value: Sequence[int]) -> tuple[int, ...]:
    return tuple(integer(what, pid, 1, _LARGEST_INT) for pid in value)


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
