"""What keeps the amounts of a sandbox on this machine: worked out once, and a place for each child."""

import contextlib
import errno
import math
import os
import resource
from collections import deque
from typing import Self, TypeAlias
from weakref import WeakSet, finalize

from ..._core import has_clone3
from ..._kernel.cgroups import CgroupPlace
from ..._limits import cgroup_names
from ..._limits.memory_files import VERSION_2
from ..._limits.resident_watch import RESERVED_BYTES
from ..description import Sandbox
from ..planning.plan import PARTS
from ..planning.wishes import Part
from . import mechanisms
from .cgroup import CgroupLimits, ChildCgroup
from .cgroup_places import CONTROLLERS, find_places, missing_in_version_2
from .mechanism import Mechanism
from .place import Place, Watched
from .systemd_scope import NoScopeError, scope_of_process

# As the option ``rlimits`` is when it is validated, by name: the number, soft and hard.
Limits: TypeAlias = dict[str, tuple[int, int, int]]

# More than these many children at once are rare, and each keeps four descriptors of this process's.
_MOST_IDLE = 32

_NO_DESCRIPTOR = (
    "of which each program and call in a sandbox with cgroups takes some while it runs; raise "
    "RLIMIT_NOFILE (ulimit -n), or have fewer of them at once"
)

# The init of the namespace, which RLIMIT_NPROC counts where it is the same user.
OTHER_TASKS = 1

# By limit, the most that a sandbox has, and the part of the caller's: queued signals, of which each timer
# of timer_create() keeps one; bytes of message queues; bytes that are locked in memory, of which SysV's are
# counted for the user.
_SHARED = {"SIGPENDING": (1024, 4), "MSGQUEUE": (409600, 2), "MEMLOCK": (8 << 20, 2)}

# What a caller may have that is not for who is not trusted: to take precedence over all other processes.
# Distributions give it to users who make music. Source: getrlimit(2), sched(7).
_PRIORITIES: dict[str | int, tuple[int, int]] = {"RTPRIO": (0, 0), "NICE": (0, 0)}

# Forbids a core file and a program of core_pattern alike: core(5).
NO_CORE = (1, 1)

# RLIMIT_CPU against what is wished. The kernel counts for it by ticks of its clock: of a program that
# shares its processor it counts a tenth too much, and so would kill one that is within its time. The watch
# reads the exact count. Source: kernel/time/posix-cpu-timers.c, check_process_timers().
_TICKS_MARGIN = 1.25


class Amounts:
    """Keeps the amounts of one Sandbox, those of its fields from ``memory`` to ``timeout``.

    It looks for cgroups below which it can make others, of version 1 or 2; in version 2 this process may
    have to move to a child of its cgroup for that, if it is alone in it. Where there is none, resource
    limits and a thread of this process do what they can: ``mechanisms()`` says what that is. It removes
    cgroups that killed processes have left in the same places. Threads may use it at once. A copy of this
    process leaves the cgroups to it.
    """

    def __init__(self, sandbox: Sandbox, *, ends_trees: bool = False) -> None:
        """ends_trees: whether each child is to have a cgroup of its own, by which its tree is killed."""
        self.sandbox = sandbox
        self._ends_trees = ends_trees
        self._maker = os.getpid()
        self._is_closed = False
        self._idle: deque[list[ChildCgroup]] = deque()
        self._all: WeakSet[ChildCgroup] = WeakSet()
        finalize(self, _close_all, self._all, self._maker)
        self._limits = CgroupLimits(
            *(sandbox.memory, sandbox.swap or 0, sandbox.processes, sandbox.cpus)
        )
        self.why_no_scope = ""
        self._groups = _grouped(self._find_places())
        for place in self._groups:
            cgroup_names.remove_left(place.path)
        self._try_groups()
        self.controllers = frozenset().union(*self._groups.values())
        self.rlimits = _rlimits(sandbox, self.controllers)
        self.affinity = _affinity(sandbox, self.controllers)
        self._watched = Watched(
            memory=None if "memory" in self.controllers else sandbox.memory,
            cpu_time=sandbox.cpu_time,
            timeout=sandbox.timeout,
            output=sandbox.output,
        )

    def _find_places(self) -> dict[str, CgroupPlace]:
        """Where this process may make cgroups, or else where systemd lets it."""
        wanted = _wanted(self.sandbox) | ({""} if self._ends_trees else set())
        places = find_places(wanted)
        if missing_in_version_2(wanted, places):
            try:
                scope = scope_of_process([each for each in CONTROLLERS if each])
            except NoScopeError as error:
                self.why_no_scope = str(error)
            else:
                there = CgroupPlace(VERSION_2, str(scope.path))
                places |= dict.fromkeys(wanted & {"", *scope.controllers}, there)
        return places

    def _try_groups(self) -> None:
        """Make the first cgroups; a place in which that fails is left out."""
        made = []
        for place, controllers in [*self._groups.items()]:
            try:
                made.append(self._made(place, controllers))
            except OSError:
                del self._groups[place]
        self._counts_swap = any(each.counts_swap() for each in made)
        if made:
            self._idle.append(made)

    @property
    def are_wished(self) -> bool:
        """Whether there is anything to keep or to watch while a child runs."""
        sandbox = self.sandbox
        watched = (
            sandbox.memory,
            sandbox.cpu_time,
            sandbox.timeout,
            sandbox.output,
            sandbox.file_size,
        )
        return bool(self._groups) or any(each is not None for each in watched)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What a launch can do by them: a process that is in a cgroup of its own is killed by that."""
        return PARTS if not self._groups else (*PARTS, "own cgroups")

    @property
    def is_ours(self) -> bool:
        """Whether this process has made it, and not one of which this is a copy."""
        return self._maker == os.getpid() or not self._groups

    def new_place(self, *, clones_into: bool = True) -> Place:
        """What keeps the amounts of one child; the caller closes it when the child is reaped.

        clones_into: whether the clone call can make the child in its cgroup of version 2. Else the child
        writes itself into that, too, which may take the kernel some ms.
        OSError when a cgroup that was promised cannot be made any more; RuntimeError in a copy of the
        process that made this.
        """
        return Place(
            self._take(),
            self.give_back,
            self._watched,
            rlimits=self.rlimits,
            affinity=self.affinity,
            clones_into=clones_into and has_clone3(),
        )

    def _take(self) -> list[ChildCgroup]:
        if self._maker != os.getpid() and self._groups:
            raise RuntimeError(
                "invalid use of Amounts: expected the process that made it, got a copy; make them anew"
            )
        cgroup_names.remove_kept()
        cgroups = self._idle_ones() or self._make()
        for each in cgroups:
            each.begin()
        return cgroups

    def _idle_ones(self) -> list[ChildCgroup]:
        with contextlib.suppress(IndexError):
            while True:
                cgroups = self._idle.popleft()
                if all(each.is_there() for each in cgroups):
                    return cgroups
                for each in cgroups:
                    each.close()
        return []

    def _make(self) -> list[ChildCgroup]:
        made: list[ChildCgroup] = []
        try:
            for place, controllers in self._groups.items():
                made.append(self._made(place, controllers))
        except BaseException as error:
            for each in made:
                each.close()
            if isinstance(error, OSError) and error.errno == errno.EMFILE:
                error.strerror = f"{error.strerror}, {_NO_DESCRIPTOR}"
            raise
        return made

    def _made(self, place: CgroupPlace, controllers: frozenset[str]) -> ChildCgroup:
        cgroup = ChildCgroup(place, controllers, self._limits)
        self._all.add(cgroup)
        return cgroup

    def give_back(self, cgroups: list[ChildCgroup]) -> None:
        """Keep the cgroups of a child that is reaped for the next one, or remove them."""
        if self._maker != os.getpid():
            return
        if self._keeps_more() and cgroups and all(each.empty() for each in cgroups):
            self._idle.append(cgroups)
            return
        for each in cgroups:
            each.close()

    def _keeps_more(self) -> bool:
        return not self._is_closed and len(self._idle) < _MOST_IDLE

    def mechanisms(self) -> list[Mechanism]:
        """By what each amount that is wished is met on this machine, in the order of the fields."""
        versions = {c: place.version for place, group in self._groups.items() for c in group}
        if self._counts_swap:
            versions["swap"] = versions["memory"]
        return mechanisms.of(self.sandbox, versions, self.why_no_scope)

    def close(self) -> None:
        """Remove all cgroups that were given back, and others when they are.

        One in which a process still is stays, and the next process that makes some there removes it.
        """
        if self._maker != os.getpid():
            return
        self._is_closed = True
        cgroup_names.remove_kept()
        while self._idle:
            with contextlib.suppress(IndexError):
                for each in self._idle.popleft():
                    each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _close_all(cgroups: "WeakSet[ChildCgroup]", maker: int) -> None:
    """Also at the end of the interpreter, which deletes no object then."""
    if maker == os.getpid():
        for each in list(cgroups):
            each.close()


def _wanted(sandbox: Sandbox) -> frozenset[str]:
    wishes = {
        "memory": sandbox.memory,
        "pids": sandbox.processes,
        "cpu": sandbox.cpus,
        "cpuacct": sandbox.cpu_time,
    }
    wanted = {controller for controller, wish in wishes.items() if wish is not None}
    return frozenset(wanted | {""} if wanted else wanted)


def _grouped(places: dict[str, CgroupPlace]) -> dict[CgroupPlace, frozenset[str]]:
    """The controllers of each place, those of version 1 first; several may be mounted together."""
    if VERSION_2 in {places[c].version for c in places if c == ""}:
        places.pop("cpuacct", None)  # version 2 counts it in any case
    ordered = sorted(set(places.values()))
    return {place: frozenset(c for c in places if places[c] == place) for place in ordered}


def _rlimits(sandbox: Sandbox, controllers: frozenset[str]) -> dict[str | int, tuple[int, int]]:
    limits: dict[str | int, tuple[int, int]] = {"CORE": NO_CORE, **_PRIORITIES, **_shared()}
    if sandbox.open_files is not None:
        limits["NOFILE"] = (sandbox.open_files, sandbox.open_files)
    if sandbox.file_size is not None:
        limits["FSIZE"] = (sandbox.file_size, sandbox.file_size)
    if sandbox.cpu_time is not None:
        seconds = math.ceil(_TICKS_MARGIN * sandbox.cpu_time)
        limits["CPU"] = (seconds, seconds + 1)  # SIGXCPU, which can be caught, and then SIGKILL
    if sandbox.processes is not None and "pids" not in controllers:
        most = sandbox.processes + OTHER_TASKS
        limits["NPROC"] = (most, most)
    if (memory := sandbox.memory) is not None and "memory" not in controllers:
        reserved = len(os.sched_getaffinity(0)) * RESERVED_BYTES
        limits["DATA"] = (memory + reserved, memory + reserved)
    return {name: within_own(name, *limit) for name, limit in limits.items()}


def _shared() -> dict[str | int, tuple[int, int]]:
    """Of what is counted for all processes of a user: not all, as a sandbox's may count for its caller.

    Source: getrlimit(2); kernel/ucount.c, inc_rlimit_ucounts().
    """
    own = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0] for name in _SHARED}
    parts = {
        name: most if own[name] == resource.RLIM_INFINITY else min(most, -(-own[name] // part))
        for name, (most, part) in _SHARED.items()
    }
    return {name: (limit, limit) for name, limit in parts.items()}


def within_own(name: str | int, soft: int, hard: int) -> tuple[int, int]:
    """Not above this process's own hard limit, which only CAP_SYS_RESOURCE could raise."""
    own = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1]
    if own == resource.RLIM_INFINITY:
        return soft, hard
    return min(soft, own), min(hard, own)


def without_core(limits: Limits) -> Limits:
    """The same, but where CORE is 0, with which the kernel starts the program of core_pattern, outside."""
    number, soft, hard = limits.get("CORE", (0, *NO_CORE))
    if soft:
        return limits
    forbidding = within_own("CORE", NO_CORE[0], max(hard, NO_CORE[1]))
    return {**limits, "CORE": (number, *forbidding)}


def as_given(limits: Limits) -> dict[str | int, tuple[int, int]]:
    """As the option ``rlimits`` takes them."""
    return {number: (soft, hard) for number, soft, hard in limits.values()}


def _affinity(sandbox: Sandbox, controllers: frozenset[str]) -> list[int] | None:
    """The processors to run on where no cgroup limits the time on them."""
    if sandbox.cpus is None or "cpu" in controllers:
        return None
    own = sorted(os.sched_getaffinity(0))
    wanted = math.ceil(sandbox.cpus)
    return own[:wanted] if wanted < len(own) else None
