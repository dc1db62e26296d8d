"""Files with a filter in the form that container engines use.

Docker, Podman, containerd, CRI-O and Kubernetes take them. They are read as the engines do, for a
container without capabilities. What differs: a name that no system call has is an error, where engines
leave it out; so is a field that they would not look at. Calls of another architecture are not allowed,
whatever `architectures`, `archMap` and `subArchitectures` say.

Source: config-linux.md of the runtime specification of the Open Container Initiative; profiles/seccomp
of Moby, pkg/seccomp of containers/common, libcontainer/seccomp of runc.
"""

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from ..untrusted_files import open_regular
from .call_numbers import KNOWN_NAMES, NUMBERS
from .rule import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    LONG,
    TRACE,
    TRAP,
    ArgumentTest,
    Policy,
    Row,
)

_ACTIONS: Mapping[str, int] = {
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_LOG": LOG,
}
_NOTIFY = "SCMP_ACT_NOTIFY"
_COMPARISONS = {
    "SCMP_CMP_NE": "!=",
    "SCMP_CMP_LT": "<",
    "SCMP_CMP_LE": "<=",
    "SCMP_CMP_EQ": "==",
    "SCMP_CMP_GE": ">=",
    "SCMP_CMP_GT": ">",
    "SCMP_CMP_MASKED_EQ": "==",
}
# include/uapi/linux/seccomp.h; TSYNC is of programs with several threads, and a child has one.
_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,
    "SECCOMP_FILTER_FLAG_LOG": 1 << 1,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 1 << 2,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 0,  # of who is asked by SCMP_ACT_NOTIFY
}
_ARCHITECTURE_NAMES = """
    NATIVE X86 X86_64 X32 ARM AARCH64 LOONGARCH64 M68K MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64
    MIPSEL64N32 PARISC PARISC64 PPC PPC64 PPC64LE RISCV64 S390 S390X SH SHEB
"""
_ARCHITECTURES = frozenset(f"SCMP_ARCH_{name}" for name in _ARCHITECTURE_NAMES.split())
# In includes and excludes the names are those of libseccomp and, in some files, of Go.
_PROCESSOR_NAMES = """
    x86 386 amd64 x86_64 x32 arm arm64 aarch64 loong64 loongarch64 m68k mips mipsle mipsel mips64
    mips64le mipsel64 mips64n32 mips64p32 mips64p32le mipsel64n32 mips3l64n32 parisc parisc64 ppc ppc64
    ppc64le riscv64 s390 s390x sh sheb
"""
_PROCESSORS = frozenset(_PROCESSOR_NAMES.split())
_OURS = {"x86_64": {"amd64", "x86_64"}, "aarch64": {"arm64", "aarch64"}}

_TOP = frozenset(
    {"defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "syscalls"}
    | {"flags", "listenerPath", "listenerMetadata", "comment", "$schema"}
)
_CALL = frozenset(
    {"name", "names", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes"}
)
_ARGUMENT = frozenset({"index", "value", "valueTwo", "op"})
_CONDITION = frozenset({"caps", "arches", "minKernel"})
_MAP = frozenset({"architecture", "subArchitectures"})

LARGEST_FILE = 4 << 20
_LARGEST_ERRNO = 4095
_ARGUMENTS = 6
_NUMBER = re.compile(r"[0-9]{1,4}")
_EXPECTED_VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")


def read_bytes(path: str) -> bytes:
    """What the file holds.

    Raises OSError where it cannot be read and ValueError where it is too large.
    """
    try:
        with open(open_regular(path), "rb") as file:
            found = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise OSError(
            error.errno,
            f"invalid syscalls: expected 'default', 'strict' or a file that can be read: {error.strerror}",
            path,
        ) from None
    if len(found) > LARGEST_FILE:
        raise ValueError(
            f"invalid syscalls: {path}: expected at most {LARGEST_FILE} bytes, got more"
        )
    return found


def policy_of(
    content: bytes, path: str, machine: str, release: tuple[int, int]
) -> tuple[Policy, int]:
    """The rows of the file for this machine and kernel, and the flags for seccomp(2).

    ``release``: of the kernel, as (6, 12).

    Raises ValueError, naming the place in the file, for what is not of that form.
    """
    top = _Place(path, "", _parsed(content, path))
    top.has_only(_TOP)
    _check_what_is_not_used(top)
    otherwise = _answer(top, "defaultAction", "defaultErrnoRet", "defaultErrno")
    rows = []
    for call in top.list_at("syscalls"):
        call.has_only(_CALL)
        names = " ".join(_names(call))
        answer = _answer(call, "action", "errnoRet", "errno")
        tests = list(_tests(call))
        if _is_for(call, machine, release):
            rows += [Row(names, answer, found) for found in tests]
    flags = 0
    for flag in top.list_at("flags"):
        flags |= _FLAGS[flag.one_of(_FLAGS, "a flag of seccomp(2)")]
    newest = _newest(rows, otherwise, machine)
    return Policy(_as_engines_count(rows, otherwise), otherwise, otherwise, newest), flags


# ---- what the rows say


def _as_engines_count(rows: list[Row], otherwise: int) -> tuple[Row, ...]:
    """Engines leave out a row that says what is said by default, also where its tests hold.

    Of what libseccomp is given, a call's first row without tests counts, wherever it stands.
    """
    counting = [row for row in rows if row.answer != otherwise]
    return (
        *(row for row in counting if not row.tests),
        *(row for row in counting if row.tests),
    )


def _newest(rows: list[Row], otherwise: int, machine: str) -> int | None:
    """The last call that the file knows: what is newer is answered with ENOSYS, as runc does.

    Else libc would not take the older call where a newer one is refused with EPERM.
    """
    if otherwise in (ALLOW, LOG):
        return None
    numbers = NUMBERS[machine]
    named = [numbers[name] for row in rows for name in row.names.split() if name in numbers]
    return max(named, default=None)


def _names(call: "_Place") -> list[str]:
    single = call.at("name")
    names = list(call.list_at("names"))
    if single is not None:
        if names:
            single.fail("expected 'name' or 'names', got both")
        names = [single]
    if not names:
        call.fail("expected 'names' with one name or more, got none")
    for name in names:
        if name.text() not in KNOWN_NAMES:
            name.fail_with_near("the name of a system call", KNOWN_NAMES)
    return [name.text() for name in names]


def _answer(place: "_Place", action_key: str, number_key: str, name_key: str) -> int:
    action = place.at(action_key)
    if action is None:
        place.fail(f"expected {action_key!r}, got none")
    if action.value == _NOTIFY:
        action.fail(
            "expected an action that needs no other program, got 'SCMP_ACT_NOTIFY'; use 'SCMP_ACT_ERRNO'"
        )
    answer = _ACTIONS[action.one_of(_ACTIONS, "an action")]
    number = errno.EPERM
    if (given := place.at(number_key)) is not None:
        number = given.number(_LARGEST_ERRNO)
    if (name := place.at(name_key)) is not None and name.text():
        number = _errno(name)
    return answer | number if answer in (ERRNO, TRACE) else answer


def _errno(name: "_Place") -> int:
    text = name.text()
    if _NUMBER.fullmatch(text) and int(text) <= _LARGEST_ERRNO:
        return int(text)
    names = {known: number for number, known in errno.errorcode.items()}
    return names[name.one_of(names, "the name of an errno")]


def _tests(call: "_Place") -> Iterator[tuple[ArgumentTest, ...]]:
    """The tests of each row: all of them, but where two are of one argument a row for each, as in runc."""
    tests = tuple(_test(argument) for argument in call.list_at("args"))
    if len({test.index for test in tests}) == len(tests):
        yield tests
    else:
        for test in tests:
            yield (test,)


def _test(place: "_Place") -> ArgumentTest:
    place.has_only(_ARGUMENT)
    index = place.needed("index").number(_ARGUMENTS - 1)
    value = place.needed("value").number(LONG)
    second = place.at("valueTwo")
    wanted = second.number(LONG) if second is not None else 0
    name = place.needed("op").one_of(_COMPARISONS, "a comparison")
    if name == "SCMP_CMP_MASKED_EQ":
        return ArgumentTest(index, "==", wanted & value, value)
    return ArgumentTest(index, _COMPARISONS[name], value)


# ---- for whom they are


def _is_for(call: "_Place", machine: str, release: tuple[int, int]) -> bool:
    """Whether the row is of this machine and kernel, for a process without capabilities."""
    included, excluded = (_conditions(call, key) for key in ("includes", "excludes"))
    if excluded.arches & _OURS[machine] or (excluded.kernel and release >= excluded.kernel):
        return False
    if included.arches and not included.arches & _OURS[machine]:
        return False
    return not included.capabilities and (not included.kernel or release >= included.kernel)


class _Conditions(NamedTuple):
    """What `includes` or `excludes` says."""

    capabilities: list[str]
    arches: set[str]
    kernel: tuple[int, int] | None


def _conditions(call: "_Place", key: str) -> _Conditions:
    place = call.at(key)
    if place is None:
        return _Conditions([], set(), None)
    place.has_only(_CONDITION)
    version = place.at("minKernel")
    return _Conditions(
        [name.text() for name in place.list_at("caps")],
        {name.one_of(_PROCESSORS, "an architecture") for name in place.list_at("arches")},
        _version(version) if version is not None and version.text() else None,
    )


def _version(place: "_Place") -> tuple[int, int]:
    match = _EXPECTED_VERSION.fullmatch(place.text())
    if match is None:
        place.fail(f"expected a version such as '4.8', got {place.value!r}")
    return int(match[1]), int(match[2])


def _check_what_is_not_used(top: "_Place") -> None:
    """Also what says nothing to us has to be right: who mistook a word shall hear of it."""
    mapped = list(top.list_at("archMap"))
    listed = list(top.list_at("architectures"))
    if mapped and listed:
        mapped[0].fail("expected 'architectures' or 'archMap', got both")
    for entry in mapped:
        entry.has_only(_MAP)
        listed += [entry.needed("architecture"), *entry.list_at("subArchitectures")]
    for name in listed:
        name.one_of(_ARCHITECTURES, "an architecture")


# ---- the form


class _Place:
    """A value of the file, which knows where it stands."""

    def __init__(self, path: str, place: str, value: Any) -> None:
        self._path, self._place, self.value = path, place, value

    def fail(self, what: str) -> NoReturn:
        place = f"{self._place}: " if self._place else ""
        raise ValueError(f"invalid syscalls: {self._path}: {place}{what}")

    def fail_with_near(self, what: str, names: Mapping[str, Any] | frozenset[str]) -> NoReturn:
        from difflib import get_close_matches

        near = get_close_matches(str(self.value), sorted(names), 1)
        remedy = f"; did you mean {near[0]!r}?" if near else ""
        self.fail(f"expected {what}, got {self.value!r}{remedy}")

    def at(self, key: str) -> "_Place | None":
        """What stands there, None for nothing and for null."""
        value = self._mapping().get(key)
        place = f"{self._place}.{key}" if self._place else key
        return None if value is None else _Place(self._path, place, value)

    def needed(self, key: str) -> "_Place":
        found = self.at(key)
        if found is None:
            self.fail(f"expected {key!r}, got none")
        return found

    def list_at(self, key: str) -> Iterator["_Place"]:
        found = self.at(key)
        if found is None:
            return
        if not isinstance(found.value, list):
            found.fail(f"expected a list, got {found.value!r}")
        for place, value in enumerate(found.value):
            yield _Place(self._path, f"{found._place}[{place}]", value)

    def has_only(self, keys: frozenset[str]) -> None:
        for key in self._mapping():
            if key not in keys:
                _Place(self._path, self._place, key).fail_with_near("a field of that form", keys)

    def text(self) -> str:
        if not isinstance(self.value, str):
            self.fail(f"expected text, got {self.value!r}")
        return str(self.value)

    def number(self, largest: int) -> int:
        if (
            isinstance(self.value, bool)
            or not isinstance(self.value, int)
            or not 0 <= self.value <= largest
        ):
            self.fail(f"expected a whole number from 0 to {largest}, got {self.value!r}")
        return int(self.value)

    def one_of(self, names: Mapping[str, Any] | frozenset[str], what: str) -> str:
        if self.text() not in names:
            self.fail_with_near(what, names)
        return self.text()

    def _mapping(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            self.fail(f"expected an object, got {self.value!r}")
        return self.value


def _parsed(content: bytes, path: str) -> Any:
    try:
        return json.loads(content.decode(), object_pairs_hook=_without_doubles)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        what = error.msg
    except UnicodeDecodeError as error:
        where, what = f"byte {error.start}", "no UTF-8"
    except RecursionError:
        where, what = "the file", "lists in lists beyond any such file"
    except ValueError as error:
        where, what = "the file", str(error)
    raise ValueError(f"invalid syscalls: {path}: {where}: expected JSON, got: {what}")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{double!r} twice in one object")
    return found


def running_release() -> tuple[int, int]:
    """The version of the kernel here, as (6, 12)."""
    first, second = re.findall(r"\d+", os.uname().release)[:2]
    return int(first), int(second)
