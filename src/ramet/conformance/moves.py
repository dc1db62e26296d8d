"""unshare() and setns(): calls that change the caller itself."""

import ctypes
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from .._preflight.this_machine import errno_name
from ..flags import CloneFlag as F
from ..law import SHARES, Caller
from .requests import mixed
from .trial import Case, Seen

_LIBC = ctypes.CDLL(None, use_errno=True)

_UNSHARED = (
    *(F.VM, F.FS, F.FILES, F.SIGHAND, F.THREAD, F.SYSVSEM, F.NEWNS, F.NEWUTS, F.NEWIPC),
    *(F.NEWUSER, F.NEWPID, F.NEWCGROUP, F.NEWTIME),
)
_KINDS = {
    "mnt": F.NEWNS,
    "uts": F.NEWUTS,
    "ipc": F.NEWIPC,
    "user": F.NEWUSER,
    "pid": F.NEWPID,
    "net": F.NEWNET,
    "cgroup": F.NEWCGROUP,
    "time": F.NEWTIME,
}
_LINKS = [(row.key, row.probe.rpartition("/")[2]) for row in SHARES if row.key.startswith("ns_")]
_SUBSETS = 150
_NO_DESCRIPTOR = -1


@dataclass
class Move:
    """One such call: its caller, and its argument."""

    case: Case
    threaded: bool = False
    path: str = ""
    pidfd: bool = False


def moves() -> Iterator[Move]:
    """All calls."""
    for threaded in (False, True):
        for flags in _unshared():
            yield Move(Case(flags, call="unshare"), threaded)
        yield from _entered(threaded)


def _unshared() -> Iterator[int]:
    # libc's unshare() takes an int, and so no flag above bit 30.
    yield from (1 << bit for bit in range(31) if 1 << bit != F.NEWNET)
    yield F.NEWNET.value
    for number in range(_SUBSETS):
        chosen = mixed(number)
        yield sum(flag.value for place, flag in enumerate(_UNSHARED) if chosen >> place & 1)


def _entered(threaded: bool) -> Iterator[Move]:
    def case(flags: int, **fields: object) -> Case:
        return Case(int(flags), call="setns", fields=fields)

    for name, kind in _KINDS.items():
        path = f"/proc/self/ns/{name}"
        for flags in (0, kind, F.NEWUTS, F.NEWUSER, F.FILES):
            about = case(flags, namespace=kind.value, own=True)
            yield Move(about, threaded, path)
        yield Move(case(kind, pidfd_target=True, own=True), threaded, pidfd=True)
    for flags in (0, F.VM, F.NEWUTS | F.FS, F.NEWUTS | F.NEWIPC):
        yield Move(case(flags, pidfd_target=True, own=True), threaded, pidfd=True)
    yield Move(case(0, fd=_NO_DESCRIPTOR), threaded)
    yield Move(case(F.NEWUTS, fd=_NO_DESCRIPTOR), threaded)


def make_move(move: Move) -> tuple[Caller, Seen] | None:
    """In its own process: the caller before the call, and the result; None without such a namespace."""
    descriptor = _NO_DESCRIPTOR
    try:
        if move.pidfd:
            descriptor = os.pidfd_open(os.getpid())
        elif move.path:
            descriptor = os.open(move.path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    if move.threaded:
        thread.start()
    # Held, since in a mount namespace without mounts there is no /proc.
    links = os.open("/proc/thread-self/ns", os.O_RDONLY | os.O_DIRECTORY)
    before, caller = _links(links), Caller.current()
    if move.case.call == "unshare":
        answer = _LIBC.unshare(ctypes.c_int(move.case.flags))
    else:
        answer = _LIBC.setns(descriptor, ctypes.c_int(move.case.flags))
    number = ctypes.get_errno()
    after = _links(links)
    os.close(links)
    if move.threaded:
        over.set()
        thread.join()
    if answer:
        return caller, Seen(errno=errno_name(number))
    return caller, Seen(shares={key: before[key] == after[key] for key, _ in _LINKS})


def _links(directory: int) -> dict[str, str]:
    return {key: _link(name, directory) for key, name in _LINKS}


def _link(name: str, directory: int) -> str:
    """Empty for a pid namespace that has no init yet."""
    try:
        return os.readlink(name, dir_fd=directory)
    except FileNotFoundError:
        return ""
