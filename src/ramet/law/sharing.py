"""What a granted request shares: a row for each thing that two tasks can share."""

from typing import NamedTuple

from ..flags import CloneFlag
from .caller import Caller
from .rule import CLONE_CALLS, SETNS, UNSHARE
from .version import Version, parse_version

_NEWTIME, _VM = CloneFlag.NEWTIME.value, CloneFlag.VM.value
_NEWNS = CloneFlag.NEWNS.value | CloneFlag.EMPTY_MNTNS.value
_NEWUSER = CloneFlag.NEWUSER.value


class Share(NamedTuple):
    """One thing: when one of ``any_of`` is set, it is shared or not, as ``shared`` says.

    ``unless`` are flags that cancel that, from Linux ``unless_since`` on. ``split`` names a fact of
    the caller for which it is not shared in any case; ``split_unless`` are flags that cancel this.
    ``what`` is its name in words, ``apart`` what a child has that does not share it (``instead``: what
    it has with another flag), and ``probe`` what shows it from outside: a type of kcmp, a link in
    /proc/PID/ns. ``until_written``: what is not shared is one for both, until one of them writes to it.
    """

    key: str
    what: str
    any_of: int
    shared: bool
    unless: int = 0
    unless_since: str | None = None
    split: str | None = None
    split_unless: int = 0
    calls: frozenset[str] = CLONE_CALLS
    probe: str = ""
    apart: str = "a copy"
    instead: tuple[int, str] | None = None
    until_written: bool = False

    def apart_by(self, flags: int, call: str = "clone") -> str:
        """What who does not share it has instead, after a call with these flags."""
        if call in SETNS:
            return "an existing one"
        if self.instead is not None and flags & self.instead[0]:
            return self.instead[1]
        return self.apart


def _namespace(key: str, what: str, bits: int, probe: str, apart: str = "new") -> Share:
    return Share(
        key=f"ns_{key}",
        what=what,
        any_of=bits,
        shared=False,
        calls=CLONE_CALLS | UNSHARE,
        probe=f"/proc/PID/ns/{probe}",
        apart=apart,
    )


# fmt: off
SHARES: tuple[Share, ...] = (
    Share(
        key="vm", what="memory", any_of=_VM, shared=True, probe="KCMP_VM",
        apart="a copy of each page, when one of the two writes to it", until_written=True,
    ),
    Share(
        key="files", what="descriptors", any_of=CloneFlag.FILES.value, shared=True,
        probe="KCMP_FILES",
    ),
    Share(
        key="fs", what="directories, umask", any_of=CloneFlag.FS.value, shared=True,
        probe="KCMP_FS",
    ),
    Share(
        key="sighand", what="signal handlers", any_of=CloneFlag.SIGHAND.value, shared=True,
        probe="KCMP_SIGHAND", instead=(CloneFlag.CLEAR_SIGHAND.value, "cleared"),
    ),
    Share(
        key="sysvsem", what="semaphore undo list", any_of=CloneFlag.SYSVSEM.value, shared=True,
        probe="KCMP_SYSVSEM", apart="empty",
    ),
    Share(
        key="io", what="I/O context", any_of=CloneFlag.IO.value, shared=True,
        split="has_no_io_context", probe="KCMP_IO", apart="its own",
    ),
    Share(
        key="ns_mnt", what="mounts", any_of=_NEWNS, shared=False, calls=CLONE_CALLS | UNSHARE,
        probe="/proc/PID/ns/mnt", instead=(CloneFlag.EMPTY_MNTNS.value, "empty"),
    ),
    _namespace("uts", "host name", CloneFlag.NEWUTS.value, "uts", "a copy"),
    _namespace("ipc", "System V IPC", CloneFlag.NEWIPC.value, "ipc"),
    _namespace("user", "users and rights", _NEWUSER, "user"),
    Share(
        key="ns_pid", what="pids", any_of=CloneFlag.NEWPID.value, shared=False,
        split="children_pid_ns_differs", probe="/proc/PID/ns/pid", apart="new",
    ),
    _namespace("pid_for_children", "pids of children", CloneFlag.NEWPID.value, "pid_for_children"),
    _namespace("net", "network", CloneFlag.NEWNET.value, "net"),
    _namespace("cgroup", "view of cgroups", CloneFlag.NEWCGROUP.value, "cgroup"),
    Share(
        key="ns_time", what="boot clocks", any_of=_NEWTIME, shared=False, unless=_VM,
        unless_since="6.2",
        split="children_time_ns_differs", split_unless=_VM, probe="/proc/PID/ns/time", apart="new",
    ),
    _namespace("time_for_children", "clocks of children", _NEWTIME, "time_for_children"),
    Share(
        key="same_tgid", what="process id", any_of=CloneFlag.THREAD.value, shared=True,
        apart="its own",
    ),
    Share(
        key="same_ppid", what="parent", any_of=CloneFlag.THREAD.value | CloneFlag.PARENT.value,
        shared=True, apart="the caller",
    ),
)
# fmt: on

# UNSHARE_EMPTY_MNTNS (Linux 7.1), a bit of another flag's in clone(): include/uapi/linux/sched.h.
_UNSHARED_MOUNTS = CloneFlag.NEWNS.value | 0x100000

# The flags of unshare() name what the caller stops sharing.
_UNSHARED = {
    "files": CloneFlag.FILES.value,
    "fs": CloneFlag.FS.value | _UNSHARED_MOUNTS | _NEWUSER,
    "ns_mnt": _UNSHARED_MOUNTS,
    "sysvsem": CloneFlag.SYSVSEM.value | CloneFlag.NEWIPC.value,
}


def shared_by_clone(flags: int, caller: Caller, version: Version) -> dict[str, bool]:
    """Whether the child shares each thing with its caller."""
    shares = {
        key: bool(flags & any_of and not flags & unless) == shared
        for key, any_of, unless, shared in _BITS
    }
    for row, since in _CANCELLED_SINCE:
        if version < since and flags & row.any_of:
            shares[row.key] = row.shared
    for key, fact, unless in _SPLITS:
        if not flags & unless and _is_so(caller, fact):
            shares[key] = False
    return shares


def kept_by_unshare(flags: int) -> dict[str, bool]:
    """Whether the caller keeps each thing that it had."""
    kept = {row.key: not flags & row.any_of if row.calls >= UNSHARE else True for row in SHARES}
    return kept | {key: not flags & bits for key, bits in _UNSHARED.items()}


def entered_by_setns(flags: int, own: bool) -> dict[str, bool]:
    """Whether the caller keeps each thing; for pids and clocks only its children get another."""
    return {row.key: own or not (row.calls >= UNSHARE and flags & row.any_of) for row in SHARES}


def _is_so(caller: Caller, fact: str) -> bool:
    if fact == "has_no_io_context":
        return not caller.has_io_context
    return bool(getattr(caller, fact))


_BITS = tuple((row.key, row.any_of, row.unless, row.shared) for row in SHARES)
_CANCELLED_SINCE = tuple(
    (row, parse_version(row.unless_since)) for row in SHARES if row.unless_since
)
_SPLITS = tuple((row.key, row.split, row.split_unless) for row in SHARES if row.split)
