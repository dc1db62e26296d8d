"""The flags that give a child its own namespace: each shown by its link and by an effect."""

import errno
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import ramet
from ramet import CloneFlag

from .cgroup import cgroups_of
from .probes import LIBC, checked, namespace_id, proc_status
from .row import NotPermitted, Row, Seen, lacking, verdict

T = TypeVar("T")

_GROUP = "Namespaces"
_HELPED = "together with NEWUSER, since the caller has no CAP_SYS_ADMIN"
_REFUSALS = {errno.EPERM, errno.EACCES, errno.ENOSPC, errno.ENOSYS}


def permitted(act: Callable[[CloneFlag], T]) -> tuple[T, str]:
    """What act returns, and in words which flag it needed besides its own: none, or NEWUSER."""
    refusal = None
    for needed in (CloneFlag(0), CloneFlag.NEWUSER):
        try:
            return act(needed), _HELPED if needed else ""
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            refusal = error
    raise NotPermitted(
        f"needs CAP_SYS_ADMIN, or user namespaces allowed to plain users ({refusal})"
    )


def _run(function: Callable[[], T], flags: CloneFlag) -> tuple[T, str]:
    return permitted(
        lambda needed: ramet.clone(function, flags=flags | needed, trusted=True).result()
    )


def _require_namespace(name: str) -> None:
    if not os.path.exists(f"/proc/self/ns/{name}"):
        raise NotPermitted(f"this kernel was built without {name} namespaces")


def _own_id(name: str) -> int:
    return namespace_id(os.getpid(), name)


def _link(name: str, own: bool) -> str:
    return f"ns/{name} {'is new' if own else 'is the same'}"


# ---- in a namespace made for the row: NEWNS, NEWUTS, NEWIPC


class Act(NamedTuple):
    """The effect of one child's act: whether its namespace was new, whether its parent saw it."""

    own: bool
    shown: bool


@dataclass(frozen=True)
class Stage:
    """An act that the child's parent sees if they share a namespace.

    Without the flag it would mount something on this machine, or rename it: so the parent is not
    the caller but a task in a new namespace of this kind, which ends with it.
    """

    flag: CloneFlag
    link: str
    prepare: Callable[[], object]
    act: Callable[[], object]
    look: Callable[[], object]
    shown: str
    not_shown: str

    def experiment(self) -> Seen:
        """Have two children act, and report what their parent saw."""
        _require_namespace(self.link)
        (without, with_), how = _run(self._play, self.flag)
        return Seen(
            without=self._told(without),
            with_=self._told(with_),
            verdict=verdict(without == Act(False, True) and with_ == Act(True, False)),
            detail=how,
        )

    def _play(self) -> tuple[Act, Act]:
        self.prepare()
        return self._child(CloneFlag(0)), self._child(self.flag)

    def _child(self, flags: CloneFlag) -> Act:
        self.prepare()
        before = self.look()
        link = ramet.clone(self._do, flags=flags, trusted=True).result()
        return Act(own=link != _own_id(self.link), shown=self.look() != before)

    def _do(self) -> int:
        self.act()
        return _own_id(self.link)

    def _told(self, act: Act) -> str:
        return f"{_link(self.link, act.own)}; {self.shown if act.shown else self.not_shown}"


_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_FOLDER = "/dev"  # it is everywhere


def _keep_mounts_private() -> None:
    # Mounts may propagate from a copied namespace to the original.
    checked(LIBC.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))


def _mount() -> None:
    checked(LIBC.mount(b"none", _FOLDER.encode(), b"tmpfs", 0, None))


_NEWNS = Stage(
    CloneFlag.NEWNS,
    "mnt",
    prepare=_keep_mounts_private,
    act=_mount,
    look=lambda: os.stat(_FOLDER).st_dev,
    shown="its parent sees the child's mount",
    not_shown="its parent does not see the child's mount",
)

_NEWUTS = Stage(
    CloneFlag.NEWUTS,
    "uts",
    prepare=partial(socket.sethostname, "parent"),
    act=partial(socket.sethostname, "child"),
    look=socket.gethostname,
    shown="the host name that the child sets is its parent's too",
    not_shown="its parent keeps its host name",
)

_IPC_CREAT, _IPC_RMID = 0o1000, 0
_KEY = 1  # free: the namespace is new, and empty


def _semaphore() -> int:
    return int(LIBC.semget(_KEY, 0, 0))


def _remove_semaphore() -> None:
    LIBC.semctl(_semaphore(), 0, _IPC_RMID)


_NEWIPC = Stage(
    CloneFlag.NEWIPC,
    "ipc",
    prepare=_remove_semaphore,
    act=lambda: checked(LIBC.semget(_KEY, 1, _IPC_CREAT | 0o600)),
    look=_semaphore,
    shown="its parent finds the child's semaphore",
    not_shown="its parent finds no semaphore",
)


# ---- NEWUSER

_MAPPED_USER = 7


class User(NamedTuple):
    """A task's ids, before and after a line in its uid_map."""

    namespace: int
    uid: int
    capabilities: int
    mapped_uid: int


def _who(outer_uid: int | None) -> User:
    me = os.getpid()
    uid, capabilities = os.getuid(), int(proc_status(me, "CapEff"), 16)
    if outer_uid is not None:
        with open("/proc/self/uid_map", "w") as uid_map:
            uid_map.write(f"{_MAPPED_USER} {outer_uid} 1")
    return User(_own_id("user"), uid, capabilities, os.getuid())


def _newuser() -> Seen:
    _require_namespace("user")
    mine = _who(None)
    without = ramet.clone(_who, None).result()
    try:
        with_ = ramet.clone(_who, mine.uid, flags=CloneFlag.NEWUSER, trusted=True).result()
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise NotPermitted(f"needs user namespaces allowed to plain users ({error})") from None
    overflow, every = _number("kernel/overflowuid"), (2 << _number("kernel/cap_last_cap")) - 1
    return Seen(
        without=f"{_link('user', without.namespace != mine.namespace)}; uid {without.uid}, "
        f"CapEff {without.capabilities:x}",
        with_=f"{_link('user', with_.namespace != mine.namespace)}; uid {with_.uid} until mapped, "
        f"then {with_.mapped_uid}, CapEff {with_.capabilities:x}",
        verdict=verdict(
            without == mine
            and with_.namespace != mine.namespace
            and (with_.uid, with_.mapped_uid) == (overflow, _MAPPED_USER)
            and with_.capabilities == every
        ),
        detail="the capabilities hold only over what belongs to the new namespace",
    )


def _number(name: str) -> int:
    with open(f"/proc/sys/{name}") as file:
        return int(file.read())


# ---- NEWPID


class Pids(NamedTuple):
    """A child's namespace, its pid and parent as it sees them, and its pid as its parent sees it."""

    namespace: int
    pid: int
    parent: int
    outside: int


def _own_pids() -> tuple[int, int, int]:
    # /proc is that of the outer namespace, where "self" has another number.
    return os.stat("/proc/self/ns/pid").st_ino, os.getpid(), os.getppid()


def _pids(flags: CloneFlag) -> Pids:
    child = ramet.clone(_own_pids, flags=flags, trusted=True)
    return Pids(*child.result(), child.pid)


def _pids_told(pids: Pids, mine: int) -> str:
    return (
        f"{_link('pid', pids.namespace != mine)}; getpid() {pids.pid}, getppid() {pids.parent}, "
        f"{pids.outside} for its parent"
    )


def _newpid() -> Seen:
    _require_namespace("pid")
    me, mine = os.getpid(), _own_id("pid")
    without = _pids(CloneFlag(0))
    with_, how = permitted(lambda needed: _pids(CloneFlag.NEWPID | needed))
    return Seen(
        without=_pids_told(without, mine),
        with_=_pids_told(with_, mine),
        verdict=verdict(
            without == Pids(mine, without.outside, me, without.outside)
            and with_.namespace != mine
            and (with_.pid, with_.parent) == (1, 0)
            and with_.outside not in (0, 1)
        ),
        detail=how,
    )


# ---- NEWNET


class Network(NamedTuple):
    """A namespace, its interfaces, and whether the name of the caller's socket is in use in it."""

    namespace: int
    interfaces: tuple[str, ...]
    taken: bool


def _network(name: str) -> Network:
    interfaces = tuple(interface for _, interface in socket.if_nameindex())
    return Network(_own_id("net"), interfaces, _is_taken(name))


def _is_taken(name: str) -> bool:
    with socket.socket(socket.AF_UNIX) as other:
        try:
            other.bind(name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
        return False


def _newnet() -> Seen:
    _require_namespace("net")
    # An abstract name: it belongs to the network namespace and leaves no file.
    name = f"\0ramet-tour-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(name)
        mine = _network(name)
        without = ramet.clone(_network, name).result()
        with_, how = _run(partial(_network, name), CloneFlag.NEWNET)
    return Seen(
        without=_network_told(without, mine),
        with_=_network_told(with_, mine),
        verdict=verdict(
            without == mine
            and without.taken
            and with_.namespace != mine.namespace
            and "lo" in with_.interfaces
            and not with_.taken
        ),
        detail=how,
    )


def _network_told(network: Network, mine: Network) -> str:
    own = network.namespace != mine.namespace
    return (
        f"{_link('net', own)}; interfaces {', '.join(network.interfaces)}; the name of "
        f"the caller's socket is {'taken' if network.taken else 'free'}"
    )


# ---- NEWCGROUP


class Cgroups(NamedTuple):
    """A namespace, and the paths of the cgroup hierarchies as its members see them."""

    namespace: int
    paths: tuple[str, ...]


def _cgroups() -> Cgroups:
    return Cgroups(_own_id("cgroup"), tuple(cgroups_of(os.getpid()).values()))


def _newcgroup() -> Seen:
    _require_namespace("cgroup")
    mine = _cgroups()
    without = ramet.clone(_cgroups).result()
    with_, how = _run(_cgroups, CloneFlag.NEWCGROUP)
    if set(mine.paths) == {"/"}:
        at_root = "the caller's cgroup is the root: only the link shows it here"
        how = f"{at_root}; {how}" if how else at_root
    return Seen(
        without=_cgroups_told(without, mine),
        with_=_cgroups_told(with_, mine),
        verdict=verdict(
            without == mine and with_.namespace != mine.namespace and set(with_.paths) == {"/"}
        ),
        detail=how,
    )


def _cgroups_told(cgroups: Cgroups, mine: Cgroups) -> str:
    longest = max(cgroups.paths, key=len)
    own = cgroups.namespace != mine.namespace
    return f"{_link('cgroup', own)}; /proc/self/cgroup: {_shortened(longest)}"


def _shortened(path: str, most: int = 24) -> str:
    return path if len(path) <= most else path[: most - 1] + "…"


# ---- NEWTIME

_DAYS_AHEAD = 10
_SECONDS_A_DAY = 86400
_CLOCK = "import time; print(time.clock_gettime(time.CLOCK_BOOTTIME))"


class Times(NamedTuple):
    """The time namespace that a task is in, and the one for its children."""

    own: int
    for_children: int


def _times() -> Times:
    return Times(_own_id("time"), _own_id("time_for_children"))


def _set_clock_and_exec(output: int) -> None:
    """Set the new namespace's clock before the first task is in it, then enter it by exec."""
    with open("/proc/self/timens_offsets", "w") as offsets:
        offsets.write(f"boottime {_DAYS_AHEAD * _SECONDS_A_DAY} 0\n")
    os.dup2(output, 1)
    os.execv(sys.executable, [sys.executable, "-ISc", _CLOCK])


def _days_ahead(flags: CloneFlag) -> int:
    """By how many days the clock of a program started with VM and these flags is ahead."""
    reader, writer = os.pipe()
    with open(reader) as clock:
        try:
            child = ramet.vfork(_set_clock_and_exec, writer, flags=flags)
        finally:
            os.close(writer)
        child.wait()
        told = clock.read()
    if not told:
        raise child.exception() or ChildProcessError("the program printed no time")
    ahead = float(told) - time.clock_gettime(time.CLOCK_BOOTTIME)
    return round(ahead / _SECONDS_A_DAY)


def _newtime() -> Seen:
    _require_namespace("time")
    mine = _times()
    without = ramet.clone(_times).result()
    try:
        with_, how = _run(_times, CloneFlag.NEWTIME)
        sharing, _ = _run(_times, CloneFlag.NEWTIME | CloneFlag.VM)
        if sharing.own != mine.own:
            raise lacking("6.2", "with VM the child enters it at once")
        days, _ = permitted(lambda needed: _days_ahead(CloneFlag.NEWTIME | needed))
    except ramet.CloneError as error:
        if error.errno != errno.EINVAL:
            raise
        raise lacking("6.3", "EINVAL") from None
    return Seen(
        without=_link("time", without.own != mine.own),
        with_=f"{_link('time', with_.own != mine.own)}; with VM "
        f"{_link('time', sharing.own != mine.own)} until its exec, then its clock is {days} days "
        "ahead, as set",
        verdict=verdict(
            without == mine
            and with_.own == with_.for_children != mine.own
            and sharing.own == mine.own
            and sharing.for_children != mine.own
            and days == _DAYS_AHEAD
        ),
        detail=how,
    )


ROWS = (
    Row(
        "NEWNS",
        _GROUP,
        "gives the child its own namespace, its own view of the mounted file systems",
        _NEWNS.experiment,
    ),
    Row("NEWUTS", _GROUP, "gives the child its own host name", _NEWUTS.experiment),
    Row(
        "NEWIPC",
        _GROUP,
        "gives the child its own System V objects and message queues, none at first",
        _NEWIPC.experiment,
    ),
    Row(
        "NEWUSER",
        _GROUP,
        "gives the child its own user ids, and all capabilities over what they own",
        _newuser,
    ),
    Row("NEWPID", _GROUP, "makes the child the first process of a new pid namespace", _newpid),
    Row("NEWNET", _GROUP, "gives the child its own network, with a loopback device", _newnet),
    Row("NEWCGROUP", _GROUP, "shows the child its cgroup as the root", _newcgroup),
    Row(
        "NEWTIME",
        _GROUP,
        "gives the child its own time since boot; with VM it enters it at its exec",
        _newtime,
    ),
)
