"""What the spellings of a request have in common: names joined, fields that the flags need."""

from typing import Any

from ramet.flags import CloneFlag, signal_name
from ramet.law import Request

SIGCHLD = 17
_LARGEST_DECIMAL = 0xFFFF  # descriptors and sizes are read more easily in tens
_VM, _VFORK = CloneFlag.VM.value, CloneFlag.VFORK.value
# Flag, the field of clone_args that it needs, what stands there in C, as strace has it, and in Python.
IN_C, BY_STRACE, WITH_RAMET = 2, 3, 4
_FIELDS = (
    ("PIDFD", "pidfd", "(uintptr_t)&pidfd", "0x7ffd3a5c1b2c", None),
    ("CHILD_SETTID", "child_tid", "(uintptr_t)&ctid", "0x7f3c5a1fd910", "lowlevel.TidWord()"),
    ("CHILD_CLEARTID", "child_tid", "(uintptr_t)&ctid", "0x7f3c5a1fd910", "lowlevel.TidWord()"),
    ("PARENT_SETTID", "parent_tid", "(uintptr_t)&ptid", "0x7f3c5a1fd910", "lowlevel.TidWord()"),
    ("SETTLS", "tls", "(uintptr_t)tls", "0x7f3c5a1fd640", "tls"),
    ("INTO_CGROUP", "cgroup", "cgroup_fd", "3", "cgroup_fd"),
)  # fmt: skip


def joined(flags: int, signal: int = 0, joint: str = " | ") -> str:
    """The flags by name, and the signal; 0 for none."""
    words = str(CloneFlag(flags)).split("|") if flags else []
    if signal:
        words.append(signal_name(signal))
    return joint.join(words) or "0"


def shown(value: Any, otherwise: str) -> str:
    """A value that was given, or else what stands for any valid one."""
    if value is None:
        return otherwise
    if isinstance(value, tuple):
        return "{" + ", ".join(map(str, value)) + "}"
    return hex(value) if value > _LARGEST_DECIMAL else str(int(value))


def needed(request: Request, column: int) -> dict[str, str]:
    """The fields that the flags need, as they are written in that column of the rows."""
    found = {}
    for row in _FIELDS:
        if request.flags & CloneFlag[row[0]].value and row[column] is not None:
            found[row[1]] = shown(getattr(request, row[1]), str(row[column]))
    return found


def needs_stack(request: Request) -> bool:
    """Whether the child and its caller would use one stack at one time."""
    return bool(request.flags & _VM and not request.flags & _VFORK)
