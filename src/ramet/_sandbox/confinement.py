"""The steps that confine a child, for each place in the order of a child's setup."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from operator import or_
from typing import Any

from .._core import Held
from .._kernel.clone_bits import NEWNET, NEWNS, NEWUSER
from .._kernel.descriptors import Descriptors
from .._kernel.names import NAMESPACES, PR_SET_DUMPABLE
from .._setup.order import NO_SLOTS, Slots, Steps
from .._setup.rows import OPTIONS
from .amounts.amounts import OTHER_TASKS, Amounts, Limits, without_core
from .amounts.place import Place
from .amounts.precedence import taken_back
from .description import LEAST_OPEN_FILES, NETWORKS, Sandbox, hostname_of, is_below
from .files.ground import Ground, lock
from .files.landlock import rules
from .files.own_files import add_layer, add_proc, add_terminals, hide_keys
from .files.sandbox_user import Use
from .files.shared_ground import AnyGround, shared_ground
from .files.sight import Sight
from .identity.identity import Identity, identity
from .overlay.layer import Layer
from .overlay.layers import Layers
from .own_places import LAYERS
from .planning.machine import OWN_KEYRING, this_machine
from .planning.path_wishes import closed_to_others
from .planning.plan import Plan, plan
from .syscalls import (
    Filter,
    compiled,
    without_limits_of_others,
    without_network,
    without_snapshots,
    without_sockets_past_namespaces,
    without_ways_past_ports,
)
from .untrusted_files import open_regular
from .view import home_of

_NEW_LISTENER = 1 << 3  # SECCOMP_FILTER_FLAG_NEW_LISTENER
_NEW_KINDS = ("mnt", "net", "ipc", "uts", "cgroup")
_NONE = -1
_FOR_ALL = 0o666
_LIMIT_OF = {"scheduler": "RTPRIO", "nice": "NICE"}
_CAPABILITY_SETS = ("bounding_caps", "permitted_caps", "inheritable_caps", "ambient_caps")


class Confinement:
    """What a sandbox is made of on this machine, for the setups of children; worked out once.

    others: confinements whose ground this may have as well. network, user, mount: the namespaces that are
    joined, as the steps are to name them: descriptors, -1 for none.
    """

    names_calls = False  # the init of its namespace is asked what to answer to a forbidden call
    keeps_namespaces = False  # what is confined makes namespaces for others
    mounts_paths = False  # the child can open what it mounts by itself

    def __init__(self, sandbox: Sandbox, others: Iterable["Confinement"] = ()) -> None:
        self.amounts = Amounts(sandbox, ends_trees=this_machine().ends_trees_by_cgroup)
        self.plan: Plan = plan(sandbox, self.amounts.mechanisms(), parts=self.amounts.parts)
        try:
            self.plan.refuse_if_short()
        except BaseException:
            self.amounts.close()
            raise
        self.asked = sandbox  # the caller's own description
        self.used = 0  # when it was used last, among those that are kept
        self.sandbox = sandbox = self.plan.launched
        self._read_once = _read_once(sandbox)
        self.layers = Layers(sandbox) if sandbox.overlay else None
        self.ground = self._ground(others)
        self._former: list[AnyGround] = []  # steps that name their descriptors may be under way
        self._network = Descriptors()  # a namespace that is joined
        self.network: object = self._opened_network()
        self.filter_program = self._compiled()
        # What commands with the same options share, by these.
        self.preparations: dict[tuple[object, ...], Any] = {}

    def _ground(self, others: Iterable["Confinement"]) -> AnyGround:
        grounds = [other.ground for other in others]
        for ground in grounds:
            shares = self.mounts_paths and not self.sandbox.warm
            is_fitting = shares or isinstance(ground, Ground)
            if is_fitting and ground.serves(self.sandbox, self.plan):
                ground.make_current()
                if ground.fits:
                    return ground
        shared = shared_ground(self.sandbox, self.plan, grounds) if self.mounts_paths else None
        return shared or self._ground_alone()

    def _ground_alone(self) -> Ground:
        above = None if self.layers is None else self.layers.directory
        return Ground(self.sandbox, identity(self.plan.own_id), self.plan, above)

    def _opened_network(self) -> int:
        network = self.sandbox.network
        if not isinstance(network, str) or network in NETWORKS or not self.plan.has_network:
            return _NONE
        return self._network.open(open_regular, network)

    def _compiled(self) -> Filter | None:
        if not self.plan.seccomp or self.sandbox.syscalls is None:
            return None
        return compiled(
            self.sandbox.syscalls,
            machine=os.uname().machine,
            forbidden="notify" if self.names_calls else self.sandbox.forbidden,
            own_ipc="ipc" in self.plan.namespaces,
            keeps_namespaces=self.keeps_namespaces,
            has_netlink=self._has_netlink,
        )

    @property
    def _has_netlink(self) -> bool:
        """What waits in such a socket, some hundred KB, is charged to no control group.

        Where there is no network it would tell of an interface that is down. Source: af_netlink.c.
        """
        return self.sandbox.memory is None or self.sandbox.network != "none"

    @property
    def is_current(self) -> bool:
        """Whether it is this process's, and made of what the description names by now."""
        same_caller = self.plan.machine is this_machine()
        return same_caller and self.amounts.is_ours and self._read_once == _read_once(self.sandbox)

    def close(self) -> None:
        """Nobody finds it any more. What a command or a child still refers to stays as long as that."""
        self.preparations.clear()  # which refers to it
        self.amounts.close()

    def make_current(self) -> Use | None:
        """To be called before each launch. Returns what the child is to keep until it has ended."""
        use = self.ground.make_current()
        if self.ground.fits:
            return use
        with Held(lock) as take:
            take()
            if not self.ground.fits:
                self._former.append(self.ground)
                self.ground = self._ground_alone()
        return None

    @property
    def identity(self) -> Identity:
        """As whom the child runs."""
        return self.ground.identity

    @property
    def user(self) -> object:
        """The user namespace that is joined, as the steps are to name it: a descriptor, -1 for none."""
        return self.ground.user

    @property
    def mount(self) -> object:
        """The same of the mount namespace."""
        return self.ground.mount

    def new_place(self) -> Place:
        """What keeps the amounts of one child."""
        return self.amounts.new_place(clones_into=False)

    @property
    def has_places(self) -> bool:
        """Whether each child is to enter cgroups of its own."""
        return bool(self.amounts.controllers)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that a child needs while it is set up."""
        return *self.ground.descriptors, *self._network

    def implied(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Options that hold in a sandbox beside those that are given, as they are when validated."""
        held: dict[str, Any] = {"no_new_privs": True}
        if "user" in self.plan.namespaces or self.plan.own_id == "unused id":
            held |= dict.fromkeys(_CAPABILITY_SETS, 0)
        else:  # the bounding set cannot be changed without a capability
            held |= dict.fromkeys(_CAPABILITY_SETS[1:], 0)
        if self._changes_ids_itself:
            own = self.identity
            held |= {"user": own.outer_uid, "group": own.outer_gid, "extra_groups": bytearray()}
        held["rlimits"] = self.limits_beside(given)
        if self.amounts.affinity is not None and "cpu_affinity" not in given:
            held["cpu_affinity"] = OPTIONS["cpu_affinity"].kind.check(
                "cpu_affinity", self.amounts.affinity
            )
        return held

    def limits_beside(self, given: Mapping[str, Any]) -> Limits:
        """Its own, but for those that the caller gives. given: its options, as they are when validated."""
        own: Limits = OPTIONS["rlimits"].kind.check("rlimits", self.rlimits)
        # Who gives what is not trusted such a priority raises it after the limits are set.
        for option in _LIMIT_OF.keys() & given.keys():
            own.pop(_LIMIT_OF[option], None)
        return without_core({**own, **given.get("rlimits", {})})

    def taken_back(self) -> Mapping[str, Any]:
        """Options of the next child, as they are when validated; another thread may run before others."""
        return {name: OPTIONS[name].kind.check(name, value) for name, value in taken_back()}

    @property
    def rlimits(self) -> dict[str | int, tuple[int, int]]:
        """Those of the amounts."""
        limits = dict(self.amounts.rlimits)
        if "NPROC" in limits and not self.has_other_tasks:
            soft, hard = limits["NPROC"]
            limits["NPROC"] = soft - OTHER_TASKS, hard - OTHER_TASKS
        return limits

    @property
    def has_other_tasks(self) -> bool:
        """Whether a task beside the sandbox's own is its user: the init is the caller's."""
        return self.identity.is_callers

    @property
    def _changes_ids_itself(self) -> bool:
        """Whether it becomes another user where there is no user namespace."""
        return not self.identity.is_callers and "user" not in self.plan.namespaces

    def environment(self) -> tuple[bytes, ...]:
        """What it gets of the caller's, and what a program expects: as execve(2) takes it."""
        kept = {name: os.environ[name] for name in self.sandbox.environment if name in os.environ}
        names = {"HOME": self.home, **kept}
        return tuple(os.fsencode(f"{name}={value}") for name, value in names.items())

    def give(self, pipes: Iterable[int]) -> None:
        """Make them the child's user's; others it could use, but not open anew in /proc."""
        own = self.identity
        if own.is_subordinate:
            # Its caller may not give it away. Nobody finds a pipe but those who see it in /proc anyway.
            for pipe in pipes:
                os.fchmod(pipe, _FOR_ALL)
        elif not own.is_callers:
            with suppress(PermissionError):  # root without CAP_CHOWN
                for pipe in pipes:
                    os.fchown(pipe, own.outer_uid, own.outer_gid)

    def why_not_executed(self, paths: Sequence[bytes]) -> str:
        """What keeps the sandbox from the first of these files that is there; empty where nothing is known.

        Who becomes another user may not run what is its caller's alone. Without a mount namespace all is in
        its place: Landlock shows what is named, and that user may not search the way to it.
        """
        found = next((os.fsdecode(path) for path in paths if os.path.isfile(path)), None)
        is_mounted, own = "mnt" in self.plan.namespaces, self.identity
        if found is None or (is_mounted and not own.is_subordinate):
            return ""
        real = os.path.realpath(found)
        shown = [one.path for one in self.ground.view.shown]
        closed = None
        if not own.is_callers:
            closed = closed_to_others(found, shown) if is_mounted else closed_to_others(found)
        if closed is not None:
            return (
                f"the sandbox's own user may not use {closed!r}: chmod o+x {closed}, or run a program "
                "that others may reach"
            )
        if is_mounted:
            return ""
        if self.plan.landlock_abi and not any(is_below(real, path) for path in shown):
            return f"the sandbox does not show it: add {real!r}, or a directory above it, to read"
        return ""

    def why_too_few_files(self, limits: Limits) -> str:
        """What to say where a step could open no file; empty where there is no limit of the caller's."""
        if "NOFILE" not in limits:
            return ""
        most = limits["NOFILE"][1]
        what = "open_files=" if most == self.sandbox.open_files else "the limit NOFILE of "
        return (
            f"{what}{most} is too small: {LEAST_OPEN_FILES} are needed, and one for each descriptor that "
            "is passed"
        )

    @property
    def sight(self) -> Sight:
        """What the child sees."""
        return Sight(self.sandbox, self.ground.view, self.ground.mount >= 0)

    @property
    def home(self) -> str:
        """Where the child begins."""
        return home_of(self.sandbox, self.ground.view, has_own_root=self.ground.mount >= 0)

    # ---- the steps

    def leave(self, steps: Steps) -> None:
        """Leave the caller's namespaces but the pid namespace: only a child is in another."""
        kinds = self.plan.namespaces
        if self.network != _NONE:
            steps.add("setns(net)", "SETNS", self.network, NEWNET)
        joined = [("setns(user)", self.user, NEWUSER), ("setns(mnt)", self.mount, NEWNS)]
        # A mount namespace can be joined with rights in the user namespace in which it was made.
        for label, descriptor, kind in joined if self.ground.is_made_together else reversed(joined):
            if descriptor != _NONE:
                steps.add(label, "SETNS", descriptor, kind)
        new = reduce(or_, (NAMESPACES[kind] for kind in _NEW_KINDS if kind in kinds), 0)
        if new:
            steps.add("unshare", "UNSHARE", new)
        hostname = hostname_of(self.sandbox)
        if "uts" in kinds and hostname is not None:
            name = os.fsencode(hostname)
            steps.add("sethostname", "SETHOSTNAME", name, len(name))
        if self.sandbox.network == "loopback" and new & NEWNET:
            steps.add("ioctl(SIOCSIFFLAGS)", "LOOPBACK")

    def inside(self, steps: Steps, layer: Layer | None = None, slots: Slots = NO_SLOTS) -> None:
        """In the new pid namespace, with all rights there.

        layer: what takes the writes of this child. slots: with what it has opened before.
        """
        steps.add("setsid", "SETSID")
        if self.plan.machine.session_keyring.granted:  # it has the caller's otherwise
            steps.add("keyctl(JOIN_SESSION_KEYRING)", "SYSCALL", *OWN_KEYRING[1:])
        own = self.identity
        # In its namespace it keeps its capabilities, and as another it could make no file in a new tmpfs.
        if not own.is_callers and not self._changes_ids_itself:
            steps.add("setgroups", "SETGROUPS", 0, 0)
            steps.add("setresgid", "SETGID", *[own.inner_gid] * 3)
            steps.add("setresuid", "SETUID", *[own.inner_uid] * 3)
            if own.is_subordinate and "pid" in self.plan.namespaces:
                # The caller, who is not root, would have no files in /proc while this shares its memory.
                # Nobody with these ids sees the task meanwhile: it is the first in its namespace.
                steps.add("prctl(PR_SET_DUMPABLE)", "PRCTL", PR_SET_DUMPABLE, 1, 0, 0, 0)
        self.add_own_files(steps, slots)  # as the user whose they are to be
        if layer is not None:
            add_layer(steps, layer.parts, f"{LAYERS}/{os.path.basename(layer.directory)}")
        home = os.fsencode(self.home)
        steps.add("chdir", "CHDIR", home, file=home)

    def add_own_files(self, steps: Steps, slots: Slots = NO_SLOTS) -> None:
        """/tmp, /dev/shm and the /proc of the pid namespace in which the task is."""
        if self.ground.mount < 0:
            return
        if self.sandbox.tmp is not None:
            self.ground.add_own_files(steps, int(self.sandbox.tmp), slots)
        if self.plan.machine.terminals.granted:
            add_terminals(steps)
        if self.sandbox.proc:
            add_proc(steps)
            if self.identity.is_callers:
                hide_keys(steps)

    @property
    def restricts_early(self) -> bool:
        """Whether Landlock's rules, which are opened by their paths, come before the change of ids.

        Another user may not search the way to each of the caller's paths, where none of them is mounted.
        """
        return bool(self.plan.landlock_abi) and (
            "mnt" not in self.plan.namespaces or self._changes_ids_itself
        )

    @property
    def looks_beside_hidden(self) -> bool:
        """Whether Landlock's rules name all that stands beside what is hidden."""
        without = "mnt" not in self.plan.namespaces
        return bool(self.sandbox.hidden and self.plan.landlock_abi) and without

    def restrict(self, steps: Steps) -> None:
        """Landlock's rules."""
        if self.plan.landlock_abi:
            has_own_root = self.ground.mount >= 0
            abi = self.plan.landlock_abi
            found = rules(self.sandbox, self.ground.view, abi, has_own_root=has_own_root)
            steps.add("landlock_restrict_self", "LANDLOCK", *found)

    def filter(self, steps: Steps, socket: int | None = None) -> None:
        """The filter of system calls; what comes after it must pass it.

        socket: over which its listener is sent, where it asks one.
        """
        for beside in self._filters_beside():
            operands = bytearray(beside.program), beside.count, beside.flags, _NONE
            steps.add("seccomp", "SECCOMP", *operands)
        if self.filter_program is not None:
            program = bytearray(self.filter_program.program)
            flags = self.filter_program.flags | (0 if socket is None else _NEW_LISTENER)
            to = _NONE if socket is None else socket
            steps.add("seccomp", "SECCOMP", program, self.filter_program.count, flags, to)

    def _filters_beside(self) -> Iterator[Filter]:
        """Those that do a part of what namespaces would, or a namespace does not."""
        if self.plan.filters_sockets:
            yield without_network(machine=os.uname().machine)
        if self.plan.filters_past_namespaces:
            yield without_sockets_past_namespaces(machine=os.uname().machine)
        if self.plan.filters_snapshots:
            yield without_snapshots(machine=os.uname().machine)
        if self.plan.filters_ports:
            yield without_ways_past_ports(machine=os.uname().machine)
        if self.plan.seccomp and "pid" not in self.plan.namespaces:
            yield without_limits_of_others(machine=os.uname().machine)


def _read_once(sandbox: Sandbox) -> tuple[tuple[int, ...], ...]:
    """Which files a filter and a network namespace are made of; nothing for most descriptions."""
    words = (sandbox.syscalls, sandbox.network)
    paths = [word for word in words if isinstance(word, str) and "/" in word]
    found = [os.stat(path) for path in paths if os.path.exists(path)]
    return tuple((one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns) for one in found)
