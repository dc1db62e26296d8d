"""Requests in text: names, numbers, lines of strace, and well-known recipes."""

import re
from dataclasses import dataclass, field
from typing import Any, cast

from ..flags import SIGNAL_BITS, CloneFlag, UnknownFlagError, flag_bits
from .request import CSIGNAL, Call
from .version import NEWEST, kernel_version, parse_version

_CLONE3_SINCE = "5.3"


@dataclass
class Reading:
    """The parts of a request, and the errno that a trace shows, if any."""

    flags: int
    exit_signal: int | None = None
    call: Call | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    traced_errno: str | None = None
    recipe: str | None = None
    call_is_named: bool = True


_SIGCHLD = 17
_PTHREAD = (
    CloneFlag.VM.value
    | CloneFlag.FS.value
    | CloneFlag.FILES.value
    | CloneFlag.SIGHAND.value
    | CloneFlag.THREAD.value
    | CloneFlag.SYSVSEM.value
    | CloneFlag.SETTLS.value
    | CloneFlag.PARENT_SETTID.value
    | CloneFlag.CHILD_CLEARTID.value
)
_FORK = CloneFlag.CHILD_SETTID.value | CloneFlag.CHILD_CLEARTID.value
_CONTAINER = (
    CloneFlag.NEWNS.value
    | CloneFlag.NEWUTS.value
    | CloneFlag.NEWIPC.value
    | CloneFlag.NEWPID.value
    | CloneFlag.NEWNET.value
    | CloneFlag.NEWCGROUP.value  # where the host has cgroup v2
)

# The requests of well-known libraries and programs (glibc 2.41, runc).
RECIPES = {
    "fork": Reading(_FORK, _SIGCHLD, "clone"),
    "vfork": Reading(CloneFlag.VM.value | CloneFlag.VFORK.value, _SIGCHLD, "clone"),
    "pthread_create": Reading(_PTHREAD, 0, "clone3"),
    "posix_spawn": Reading(
        CloneFlag.VM.value | CloneFlag.VFORK.value | CloneFlag.CLEAR_SIGHAND.value,
        _SIGCHLD,
        "clone3",
    ),
    "docker": Reading(_CONTAINER, _SIGCHLD, "clone"),
}

_CALL = re.compile(r"\b(clone3|clone|unshare|setns)\(")
_FORK_CALL = re.compile(r"(?:^|[\s\]])(v?fork)\(|<\.\.\. (v?fork) resumed>")
_SECOND_HALF = re.compile(r"<\.\.\. \w+ resumed>|^\s*[,}]|^\s*=>")
_ANSWER = re.compile(r"\)\s*=\s*-1 (E[A-Z0-9]+)")
_COMMENT = re.compile(r"/\*.*?\*/|strace: Process \d+ attached", re.DOTALL)
_FIELD = re.compile(r"\b(\w+)=(\[[^\]]*\]|[^,}=]+)")
_FLAGS_FIELD = re.compile(r"\bflags\s*=[^,)}<]*")
_SIGNAL_FIELD = re.compile(r"\bexit_signal\s*=[^,)}<]*")
_SIZE = re.compile(r"},?\s*(?:=>\s*{[^}]*}\s*,?)?\s*(\d+)\)")
_SETNS = re.compile(r"setns\(\s*(-?\d+)[^,]*,\s*([^)]*)\)")
_NAMES = {"child_tidptr": "child_tid", "parent_tidptr": "parent_tid", "child_stack": "stack"}
_NUMBERS = {"pidfd", "child_tid", "parent_tid", "stack", "stack_size", "tls", "cgroup"}


def read(request: int | str) -> Reading:
    """The parts of a request.

    Takes a number, flags by name, the name of a recipe (fork, vfork, pthread_create, posix_spawn,
    docker), or a line of strace for clone, clone3, fork, vfork, unshare or setns.

    Raises UnknownFlagError (a ValueError) with the nearest known name.

    >>> read("clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD}, 88) = 7").call
    'clone3'
    """
    if not isinstance(request, str):
        return Reading(flag_bits(request))
    recipe = request.strip().lower().removesuffix("()")
    if recipe in RECIPES:
        known = RECIPES[recipe]
        return Reading(known.flags, known.exit_signal, known.call, recipe=recipe)
    text = _COMMENT.sub("", request)
    called = _CALL.search(text)
    if called is None:
        return _read_fork(text) or Reading(_read_flags(request))
    return _read_trace(text[called.start() :], cast(Call, called[1]))


def _read_flags(text: str) -> int:
    try:
        return CloneFlag.parse(text).value
    except UnknownFlagError as error:
        raise UnknownFlagError(_what_was_meant(text, str(error))) from None


def _what_was_meant(text: str, text_of_flags: str) -> str:
    """The error's text, with what else can be read; text_of_flags: its text about flags alone."""
    import difflib  # only a mistake needs it

    words = [word.removesuffix("()") for word in re.split(r"[^\w()]+", text.strip().lower())]
    if len(words) > 1 and (name := next((word for word in words if word in RECIPES), None)):
        known = RECIPES[name]
        flags = CloneFlag(known.flags | (known.exit_signal or 0))
        return f"{name} is a whole request; to add flags, write its flags: {flags}"
    nearest = difflib.get_close_matches(text.strip().lower(), RECIPES, n=1, cutoff=0.75)
    if nearest:
        return f"no clone flag or signal is called {text!r}; the nearest known name is {nearest[0]}"
    if "; the flags are" in text_of_flags:
        return (
            f"{text_of_flags}; or write a number, a line of strace, or one of {', '.join(RECIPES)}"
        )
    return text_of_flags


def _read_fork(text: str) -> Reading | None:
    """The two calls without arguments; fork(2) is not what libc makes of fork()."""
    found = _FORK_CALL.search(text)
    if found is None:
        if _SECOND_HALF.search(text):
            raise ValueError(
                "this is the end of a call: its flags are in the line that strace marks "
                "<unfinished ...>"
            )
        return None
    answer = _ANSWER.search(text)
    name = found[1] or found[2]
    flags = RECIPES["vfork"].flags if name == "vfork" else 0
    return Reading(
        flags, _SIGCHLD, "clone", traced_errno=answer[1] if answer else None, recipe=name
    )


def _read_trace(text: str, call: Call) -> Reading:
    answer = _ANSWER.search(text)
    traced = answer[1] if answer else None
    if call == "setns" and (parts := _SETNS.search(text)):
        return Reading(
            CloneFlag.parse(parts[2]).value,
            call=call,
            fields={"fd": int(parts[1])},
            traced_errno=traced,
        )
    # The parser takes the signal of the structure into the low bits, which are refused there.
    bits = CloneFlag.parse(_SIGNAL_FIELD.sub("", text) if call == "clone3" else text).value
    if call == "unshare":
        return Reading(bits, call=call, traced_errno=traced)
    fields = dict(_fields(text.partition("=>")[0], call))
    if call == "clone":
        return Reading(bits, None, call, fields, traced)
    if size := _SIZE.search(text):
        fields["size"] = int(size[1])
    signal = CloneFlag.parse(_FLAGS_FIELD.sub("flags=0", text)).value
    return Reading(bits, signal, call, fields, traced)


def _fields(text: str, call: Call) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for written, value in _FIELD.findall(text):
        name = _NAMES.get(written, written)
        if name == "set_tid" and value.startswith("["):
            found.append((name, tuple(int(pid) for pid in value[1:-1].split(","))))
        elif name in _NUMBERS and (number := _number(value)) is not None:
            found.append((name, number))
    allowed = {"child_tid", "parent_tid", "tls", "stack"}
    return found if call == "clone3" else [pair for pair in found if pair[0] in allowed]


def _number(text: str) -> int | None:
    """None for a pointer whose content strace shows: it was valid."""
    text = text.split("<", maxsplit=1)[0].strip(" )")
    if text == "NULL":
        return 0
    try:
        return int(text, 0)
    except ValueError:
        return None


def complete(reading: Reading, kernel: str | None) -> Reading:
    """With a call, where none was named: the one that Ramet would make."""
    if reading.call is not None:
        return reading
    reading.call_is_named = False
    no_clone3 = kernel_version(kernel or NEWEST) < parse_version(_CLONE3_SINCE)
    if no_clone3 or reading.flags & CloneFlag.DETACHED.value:
        reading.call = "clone"
        return reading
    low = reading.flags & CSIGNAL & SIGNAL_BITS
    reading.call = "clone3"
    if reading.exit_signal is None:
        reading.flags &= ~SIGNAL_BITS
        reading.exit_signal = low
    return reading
