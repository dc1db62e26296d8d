"""A call of the family, as a tracee has made it: decoded, written as strace does, and as a request."""

import functools
import os
from dataclasses import dataclass
from struct import Struct, unpack
from typing import Any

from ..._preflight.this_machine import errno_name
from ...flags import CloneFlag, signal_name
from ...law import Call as CallName
from ...law import Cgroup, Request, make_request
from .records import Number, Part, Record

_WORD = 8
_CLONE_ARGS = (
    *("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls"),
    *("set_tid", "set_tid_size", "cgroup"),
)
_OWN_FLAGS = {Number.FORK: CloneFlag(0), Number.VFORK: CloneFlag.VM | CloneFlag.VFORK}
_SIGCHLD = 17
_LOW_BYTE = 0xFF
_RESTARTED = 512  # ERESTARTSYS and above: the kernel makes the call again, and no program sees them
_LAST_ERRNO = 4095
_DECIMAL = ("stack_size", "set_tid_size", "cgroup")
_NAMING = ("set_tid", "cgroup")


@dataclass(frozen=True, slots=True)
class Call:
    """A call that makes a task, or changes its caller's namespaces.

    ``name``: clone, clone3, fork, vfork, unshare or setns. ``flags``: without the exit signal; for setns()
    the type of namespace. ``fields``: those of ``struct clone_args`` or of clone() that are not 0,
    setns()'s ``fd``. ``target``: what setns()'s descriptor, or that of the cgroup, refers to. ``time``:
    when it was made, in seconds from the begin of the trace.
    """

    name: str
    flags: CloneFlag
    exit_signal: int
    fields: tuple[tuple[str, Any], ...]
    target: str
    time: float

    def __str__(self) -> str:
        written = _WRITERS.get(self.name, _write_fork)
        return f"{self.name}({written(self)})"

    def short(self) -> str:
        """The same without addresses and sizes: its flags, its exit signal, and what it names."""
        if self.name in {"unshare", "setns"}:
            return str(self)
        if self.name in {"fork", "vfork"} or not (self.flags or self.fields or self.exit_signal):
            return f"{self.name}()"
        words = [_with_signal(self)]
        words += [f"{name}={value}" for name, value in self.fields if name in _NAMING]
        if self.target:
            words[-1] += f"<{self.target}>"
        return f"{self.name}({', '.join(words)})"

    def to_dict(self) -> dict[str, Any]:
        """Names, numbers and words, ready for JSON."""
        return {
            "name": self.name,
            "text": str(self),
            "flags": _flag_names(int(self.flags)),
            "flags_value": int(self.flags),
            "exit_signal": signal_name(self.exit_signal) if self.exit_signal else None,
            **({"target": self.target} if self.target else {}),
            "fields": dict(self.fields),
        }

    def request(self) -> Request:
        """The same as a request, for the law. Raises ValueError for one that the law cannot describe."""
        fields = dict(self.fields)
        name: CallName = "clone"
        if self.name == "clone3":
            name = "clone3"
            fields.pop("set_tid_at", None)
            if fields.get("cgroup") is not None:
                fields["cgroup"] = Cgroup()
        elif self.name == "unshare":
            name, fields = "unshare", {}
        elif self.name == "setns":
            name, fields = "setns", _entered(self)
        signal = self.exit_signal if name in {"clone", "clone3"} else None
        return make_request(int(self.flags), signal, name, fields)


def read_call(record: Record, time: float) -> Call:
    """The call of a record of kind CALL that is no exec."""
    number = Number(record.call)
    name = number.name.lower()
    args = record.args
    if number == Number.CLONE:
        words = ("stack", "parent_tid", "child_tid", "tls")
        given = zip(words, args[1:5], strict=True)
        flags = CloneFlag(args[0] & ~_LOW_BYTE & 0xFFFF_FFFF)
        fields = tuple((word, value) for word, value in given if value and _is_read(word, flags))
        return Call(name, flags, args[0] & _LOW_BYTE, fields, "", time)
    if number == Number.CLONE3:
        return _clone3(record, time)
    if number == Number.UNSHARE:
        return Call(name, CloneFlag(args[0]), 0, (), "", time)
    if number == Number.SETNS:
        descriptor = args[0] & 0xFFFF_FFFF
        return Call(
            name,
            CloneFlag(args[1] & 0xFFFF_FFFF),
            0,
            (("fd", descriptor if descriptor < 1 << 31 else descriptor - (1 << 32)),),
            text_of(record.parts[0]),
            time,
        )
    return Call(name, _OWN_FLAGS[number], _SIGCHLD, (), "", time)


def text_of(part: Part) -> str:
    """As Python writes names of files."""
    return os.fsdecode(part.content)


def errno_of(result: int) -> str | None:
    """The name of the error that a call has returned; None when it has not failed."""
    return errno_name(-result) if -_LAST_ERRNO <= result < 0 else None


def is_restarted(result: int) -> bool:
    """Whether the kernel makes the call again, since a signal has come."""
    return -_LAST_ERRNO <= result <= -_RESTARTED


def _is_read(word: str, flags: CloneFlag) -> bool:
    """Whether clone() reads this argument: others hold what was there before."""
    needs = {
        "parent_tid": CloneFlag.PARENT_SETTID | CloneFlag.PIDFD,
        "child_tid": CloneFlag.CHILD_SETTID | CloneFlag.CHILD_CLEARTID,
        "tls": CloneFlag.SETTLS,
    }
    return word not in needs or bool(flags & needs[word])


def _clone3(record: Record, time: float) -> Call:
    structure, pids, cgroup = record.parts
    size, content = record.args[1], structure.content
    if not content:  # nothing can be read there, or nothing was given
        fields: tuple[tuple[str, Any], ...] = (("args", record.args[0]), ("size", size))
        return Call("clone3", CloneFlag(0), 0, fields, "", time)
    count = min(len(content) // _WORD, len(_CLONE_ARGS))
    words = dict(zip(_CLONE_ARGS, Struct(f"={count}Q").unpack_from(content), strict=False))
    flags = CloneFlag(words.pop("flags", 0))
    exit_signal = words.pop("exit_signal", 0)
    given: dict[str, Any] = {name: value for name, value in words.items() if value}
    if flags & CloneFlag.INTO_CGROUP:
        given["cgroup"] = words.get("cgroup", 0)
    if "set_tid" in given and pids.content:
        given["set_tid"] = list(unpack(f"={len(pids.content) // 4}i", pids.content))
    if any(content[len(_CLONE_ARGS) * _WORD :]):
        given["beyond"] = True
    given["size"] = size
    return Call("clone3", flags, exit_signal, tuple(given.items()), text_of(cgroup), time)


_KINDS = {
    "mnt": CloneFlag.NEWNS,
    "uts": CloneFlag.NEWUTS,
    "ipc": CloneFlag.NEWIPC,
    "net": CloneFlag.NEWNET,
    "pid": CloneFlag.NEWPID,
    "user": CloneFlag.NEWUSER,
    "cgroup": CloneFlag.NEWCGROUP,
    "time": CloneFlag.NEWTIME,
}


def _entered(call: Call) -> dict[str, Any]:
    kind = call.target.partition(":")[0]
    fields: dict[str, Any] = dict(call.fields)
    if call.target == "anon_inode:[pidfd]" or call.target.startswith("pidfd:"):
        fields["pidfd_target"] = True
    elif kind in _KINDS:
        fields["namespace"] = int(_KINDS[kind])
    return fields


# ---- as strace writes them


def _write_fork(_: Call) -> str:
    return ""


def _write_clone(call: Call) -> str:
    words = [_address("child_stack", dict(call.fields).get("stack", 0))]
    words.append(f"flags={_with_signal(call)}")
    words += [_address(name, value) for name, value in call.fields if name != "stack"]
    return ", ".join(words)


# Programs repeat their flags, and to name them takes longer than all else that is done for a call.
@functools.lru_cache(maxsize=256)
def _flags_text(flags: int) -> str:
    return str(CloneFlag(flags))


@functools.lru_cache(maxsize=256)
def _flag_names(flags: int) -> tuple[str, ...]:
    return tuple(str(flag) for flag in CloneFlag(flags))


@functools.lru_cache(maxsize=256)
def _only_flags_text(flags: int) -> str:
    """Of a call whose low byte is no exit signal: what is no flag there is a number."""
    unknown = flags & _LOW_BYTE & ~CloneFlag.NEWTIME
    words = [_flags_text(flags & ~unknown)] if flags & ~unknown or not unknown else []
    return "|".join([*words, f"{unknown:#x}"] if unknown else words)


def _with_signal(call: Call) -> str:
    if call.name == "clone":
        return _flags_text(int(call.flags) | call.exit_signal)
    words = [_only_flags_text(int(call.flags))] if call.flags else []
    if call.exit_signal:
        words.append(signal_name(call.exit_signal))
    return "|".join(words) or "0"


def _write_clone3(call: Call) -> str:
    fields = dict(call.fields)
    size = fields.pop("size", 0)
    if "args" in fields:
        return f"{_number(fields['args'])}, {size}"
    words = [f"flags={_only_flags_text(int(call.flags))}"]
    if call.exit_signal:
        words.append(f"exit_signal={signal_name(call.exit_signal)}")
    for name, value in fields.items():
        words.append(f"{name}={value}" if name in _DECIMAL else _address(name, value))
        if name == "cgroup" and call.target:
            words[-1] += f"<{call.target}>"
    return f"{{{', '.join(words)}}}, {size}"


def _write_unshare(call: Call) -> str:
    return _only_flags_text(int(call.flags))


def _write_setns(call: Call) -> str:
    target = f"<{call.target}>" if call.target else ""
    return f"{dict(call.fields)['fd']}{target}, {_only_flags_text(int(call.flags))}"


def _address(name: str, value: Any) -> str:
    return f"{name}={_number(value)}"


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    return f"{value:#x}" if value else "NULL"


_WRITERS = {
    "clone": _write_clone,
    "clone3": _write_clone3,
    "unshare": _write_unshare,
    "setns": _write_setns,
}
