"""The kernel's names for the values of options, and their numbers."""

import signal
from collections.abc import Iterable, Mapping
from operator import index
from typing import Protocol, TypeVar

from ..errors import UnknownNameError
from ..flags import LAST_SIGNAL, CloneFlag, whole_number


class HasFileno(Protocol):
    """An object with an open descriptor."""

    def fileno(self) -> int:
        """The descriptor."""


AT_FDCWD = -100  # openat(2): a path relative to the working directory
WALL = 0x40000000  # waitid(2) __WALL: children with any exit signal
TIOCSCTTY = 0x540E  # ioctl_tty(2)
IOPRIO_WHO_PROCESS = 1  # ioprio_set(2)
# include/uapi/linux/prctl.h
PR_SET_DUMPABLE, PR_SET_NAME = 4, 15
PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_SECUREBITS = 8, 24, 28
PR_SET_TIMERSLACK, PR_SET_NO_NEW_PRIVS = 29, 38

LARGEST_INT = (1 << 31) - 1  # a C int
LARGEST_ID = (1 << 32) - 2  # of a user or a group: all ones is "leave as it is" to the kernel

# include/uapi/linux/capability.h: the place in this list is the number
_CAPABILITIES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
    SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
CAPABILITIES = {name: number for number, name in enumerate(_CAPABILITIES.split())}

# include/uapi/linux/securebits.h
SECUREBITS: Mapping[str, int] = {
    "NOROOT": 1 << 0,
    "NOROOT_LOCKED": 1 << 1,
    "NO_SETUID_FIXUP": 1 << 2,
    "NO_SETUID_FIXUP_LOCKED": 1 << 3,
    "KEEP_CAPS": 1 << 4,
    "KEEP_CAPS_LOCKED": 1 << 5,
    "NO_CAP_AMBIENT_RAISE": 1 << 6,
    "NO_CAP_AMBIENT_RAISE_LOCKED": 1 << 7,
    "EXEC_RESTRICT_FILE": 1 << 8,
    "EXEC_RESTRICT_FILE_LOCKED": 1 << 9,
    "EXEC_DENY_INTERACTIVE": 1 << 10,
    "EXEC_DENY_INTERACTIVE_LOCKED": 1 << 11,
}

# include/uapi/linux/sched.h
SCHEDULERS: Mapping[str, int] = {
    "OTHER": 0,
    "FIFO": 1,
    "RR": 2,
    "BATCH": 3,
    "IDLE": 5,
    "DEADLINE": 6,
    "EXT": 7,
}

# include/uapi/linux/ioprio.h
IO_CLASSES: Mapping[str, int] = {"NONE": 0, "RT": 1, "BE": 2, "IDLE": 3}

# include/uapi/asm-generic/resource.h; alpha, mips and sparc have another order
_RLIMITS = """
    CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO
    RTTIME
"""
RLIMITS = {name: number for number, name in enumerate(_RLIMITS.split())}

# The names of /proc/PID/ns, and the flag that setns(2) takes for each.
NAMESPACES: Mapping[str, int] = {
    "user": CloneFlag.NEWUSER.value,
    "cgroup": CloneFlag.NEWCGROUP.value,
    "ipc": CloneFlag.NEWIPC.value,
    "uts": CloneFlag.NEWUTS.value,
    "net": CloneFlag.NEWNET.value,
    "pid": CloneFlag.NEWPID.value,
    "mnt": CloneFlag.NEWNS.value,
}

_SIGNALS: Mapping[str, int] = {name: one.value for name, one in signal.Signals.__members__.items()}

_FEW = 8  # an error lists up to so many names

T = TypeVar("T")


def find(names: Mapping[str, T], name: str, what: str, prefix: str = "") -> T:
    """The value of that name, with or without its prefix; UnknownNameError with the most similar name."""
    if not isinstance(name, str):
        raise TypeError(f"invalid {what}: expected a name, got {type(name).__name__}")
    short = name.upper().removeprefix(prefix)
    found = names.get(short, names.get(name))
    if found is None:
        close = nearest(short, names)
        few = () if close or len(names) > _FEW else tuple(names)
        raise UnknownNameError(what, name, close, few)
    return found


def nearest(name: str, names: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known name most similar to a misspelt one; cutoff: the least similarity, 0 to 1."""
    import difflib  # only a misspelt name needs it

    known = {one.upper(): one for one in names}
    close = difflib.get_close_matches(name.upper(), list(known), n=1, cutoff=cutoff)
    return known[close[0]] if close else None


def signal_number(which: int | str) -> int:
    """A signal by number or name; ValueError when there is no such signal."""
    if isinstance(which, str):
        return find(_SIGNALS, _with_prefix(which), "signal")
    if not 1 <= whole_number("signal", which) <= LAST_SIGNAL:
        raise ValueError(f"invalid signal: expected 1 to {LAST_SIGNAL}, got {which}")
    return index(which)


def _with_prefix(name: str) -> str:
    name = name.upper()
    return name if name.startswith("SIG") else f"SIG{name}"


def bits(numbers: Iterable[int]) -> int:
    """A mask with those bits set."""
    mask = 0
    for number in numbers:
        mask |= 1 << number
    return mask
