"""By what each wish of a sandbox is met on this machine, what it lacks, and what would change that."""

import errno
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, TypeAlias

from ..._limits.byte_counts import written_bytes
from ..._preflight.this_machine import running_kernel
from ...errors import SandboxError
from ..description import AMOUNTS, IN_BYTES, SYSCALLS, Sandbox
from .device_row import device_rows
from .image_places import image_rows
from .machine import NAMESPACE_KINDS, Machine, this_machine
from .path_wishes import OwnUser, path_rows, python_rows
from .questions import Answer
from .row import Met, Row
from .wishes import WISHES, Part, Way, Wish

OwnId: TypeAlias = Literal["unused id", "subordinate id", "caller's id"]

_OWN_IDS: dict[str, OwnId] = {
    "an unused user id": "unused id",
    "a subordinate id by newuidmap": "subordinate id",
}
_NO_USER, _TREE = "no user of the host", "whole tree dies"
Ends: TypeAlias = Literal["pid namespace", "user", "cgroup", "subreaper", "nothing"]
_ENDS: dict[str, Ends] = {
    "a pid namespace": "pid namespace",
    "a user id of its own, whose processes are killed": "user",
    "a cgroup whose processes are killed": "cgroup",
    "a subreaper that looks for the rest": "subreaper",
}


# What the launch of this version does besides; "own cgroups" where the amounts have found a place for them.
PARTS: tuple[Part, ...] = ("joined networks", "filtered sockets", "subordinate ids")


class AmountMechanism(Protocol):
    """By what an amount is met, as a Row has it."""

    @property
    def wish(self) -> str:
        """The field."""

    @property
    def mechanism(self) -> str:
        """Empty where it is not met."""

    @property
    def shortfall(self) -> str:
        """Empty where it is met in full."""

    @property
    def remedy(self) -> str:
        """What would change it."""


class _Unkept(NamedTuple):
    wish: str
    mechanism: str = ""
    shortfall: str = "nothing was found that keeps it"
    remedy: str = ""


class Plan:
    """What a sandbox is made of on this machine: a row for each wish, and what the launch uses.

    ``rows``: of the wishes, in the order of the description, and of paths that cannot be used. ``lost``:
    those that are not met in full. ``namespaces``: the kinds that are made new, of user, mnt, pid, net,
    ipc, uts and cgroup. ``proc``: whether it has a /proc of its own processes. ``landlock_abi``: the
    version that is used, 0 for none. ``seccomp``: whether there is a filter; ``filters_sockets``: whether
    it refuses all sockets but unix ones, for want of a network namespace; ``filters_past_namespaces``:
    whether one beside refuses those that no network namespace holds (vsock, RDS, QIPCRTR);
    ``filters_snapshots``: whether one refuses snapshots of file systems. ``idmapped``: the paths of
    ``read`` and ``write`` that are mounted with their ids mapped, so that the sandbox has the caller's
    rights to them and what it writes is the caller's; ``idmap``: whether all are. ``own_id``: whose rights
    the sandbox has otherwise. ``tree_ends_by``: what ends all that the program has started.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        machine: Machine,
        amounts: Iterable[AmountMechanism] = (),
        parts: Iterable[Part] = (),
    ) -> None:
        self.sandbox = sandbox
        self.machine = machine
        self._parts = frozenset(parts)
        self._amounts = tuple(amounts)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """One for each wish, then one for each path with which something is wrong."""
        amounts = [_row_of_amount(amount, self.sandbox) for amount in self._all_amounts()]
        user = OwnUser(self.own_id == "unused id", "mnt" in self.namespaces, self.idmapped)
        of_paths = [*path_rows(self.sandbox, self.machine, user), *image_rows(self.sandbox)]
        of_devices = device_rows() if user.mounted else ()
        return (*self._wishes, *amounts, *of_devices, *of_paths, *python_rows(self.sandbox, user))

    def _all_amounts(self) -> Iterator[AmountMechanism]:
        """One for each amount that is wished: nobody has said what keeps those that are not given."""
        given = {amount.wish: amount for amount in self._amounts}
        for wish in AMOUNTS:
            if wish in given or getattr(self.sandbox, wish) is not None:
                yield given.get(wish, _Unkept(wish))

    @cached_property
    def _wishes(self) -> tuple[Row, ...]:
        asked = [wish for wish in WISHES if wish.asked(self.sandbox)]
        return tuple(_row(wish, self.machine, self.sandbox, self._parts) for wish in asked)

    @property
    def lost(self) -> tuple[Row, ...]:
        """The rows of the wishes that are not met in full."""
        return tuple(row for row in self.rows if row.met != "fully")

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """The kinds of namespaces that are made new."""
        granted = {kind for kind in NAMESPACE_KINDS if self.machine.namespaces[kind].granted}
        if not self.machine.sandbox_has_user_namespace:
            granted -= {"user"}
        if not self.machine.mounts.granted:
            granted -= {"mnt"}
        if self.sandbox.network not in ("none", "loopback") and self.has_network:
            granted -= {"net"}
        return frozenset(granted)

    @cached_property
    def has_network(self) -> bool:
        """Whether what is wished of the network is met; else there is none, not the caller's."""
        return all(row.met != "not" for row in self._wishes if row.wish == "network")

    @property
    def landlock_abi(self) -> int:
        """The version of landlock that is used, 0 for none."""
        return self.machine.landlock_abi

    @property
    def seccomp(self) -> bool:
        """Whether a filter of system calls is set."""
        return self.machine.seccomp.granted and (
            self.sandbox.syscalls is not None
            or self.filters_sockets
            or self.filters_ports
            or self.filters_past_namespaces
            or self.filters_snapshots
        )

    @cached_property
    def proc(self) -> bool:
        """Whether it has a /proc of its own processes: without a pid namespace it would be the caller's."""
        return any(row.wish == "proc" and row.met == "fully" for row in self._wishes)

    @cached_property
    def launched(self) -> Sandbox:
        """The description of what is launched: without what this machine does not grant.

        What was to be written to a layer is only read then, since the caller's own files are not to be
        changed.
        """
        lost = {row.wish for row in self._wishes if row.met == "not"}
        sandbox = self.sandbox
        if sandbox.proc and not self.proc:
            sandbox = sandbox.replace(proc=False)
        if "overlay" in lost:
            read = (*sandbox.read, *sandbox.write)
            sandbox = sandbox.replace(overlay=False, write=(), read=read)
        return sandbox

    @cached_property
    def filters_sockets(self) -> bool:
        """Whether the filter refuses all sockets but unix ones."""
        return any(
            row.wish == "network" and row.mechanism.startswith("seccomp") for row in self._wishes
        )

    @cached_property
    def filters_ports(self) -> bool:
        """Whether a filter refuses what would reach TCP ports past Landlock's rules."""
        return not isinstance(self.sandbox.network, str) and self.machine.seccomp.granted

    @cached_property
    def filters_past_namespaces(self) -> bool:
        """Whether a filter refuses the sockets that no network namespace holds, as our lists do."""
        wanted = self.sandbox.network != "host" and self.sandbox.syscalls not in SYSCALLS
        return wanted and not self.filters_sockets and self.machine.seccomp.granted

    @cached_property
    def filters_snapshots(self) -> bool:
        """Whether a filter refuses the snapshots that would show what is hidden, as our lists do."""
        wanted = bool(self.sandbox.hidden) and self.sandbox.syscalls not in SYSCALLS
        return wanted and self.machine.seccomp.granted

    @cached_property
    def own_id(self) -> OwnId:
        """Whose rights the sandbox has."""
        mechanism = next(row.mechanism for row in self._wishes if row.wish == _NO_USER)
        return _OWN_IDS.get(mechanism, "caller's id")

    @cached_property
    def tree_ends_by(self) -> Ends:
        """What ends all that the program has started."""
        mechanism = next(row.mechanism for row in self._wishes if row.wish == _TREE)
        return _ENDS.get(mechanism, "nothing")

    @cached_property
    def idmapped(self) -> frozenset[str]:
        """The named paths that are mounted with their ids mapped."""
        if self.own_id != "unused id" or "mnt" not in self.namespaces:
            return frozenset()
        named = (*self.sandbox.read, *self.sandbox.write)
        return frozenset(path for path in named if self.machine.idmap(path).granted)

    @property
    def idmap(self) -> bool:
        """Whether there are such paths, and each has its ids mapped."""
        return bool(self.idmapped) and self.idmapped == {*self.sandbox.read, *self.sandbox.write}

    def refuse_if_short(self) -> None:
        """Raise SandboxError: for a mistaken path, with ``require="all"`` for a wish that is not met."""
        short = [row for row in self.rows if self._refuses(row)]
        if short:
            raise _error(short)

    def _refuses(self, row: Row) -> bool:
        return row.mistaken or (self.sandbox.require == "all" and row.is_short)

    def to_dict(self) -> dict[str, object]:
        """All of it, for JSON."""
        return {
            "kernel": running_kernel(),
            "starts": not any(map(self._refuses, self.rows)),
            "namespaces": sorted(self.namespaces),
            "proc": self.proc,
            "landlock_abi": self.landlock_abi,
            "seccomp": self.seccomp,
            "idmapped": sorted(self.idmapped),
            "own_id": self.own_id,
            "rows": [_as_dict(row) for row in self.rows],
        }

    def __str__(self) -> str:
        from .plan_text import table  # only a person reads it

        return table(self.rows)


def plan(
    sandbox: Sandbox,
    amounts: Iterable[AmountMechanism] = (),
    *,
    machine: Machine | None = None,
    parts: Iterable[Part] = (),
) -> Plan:
    """By what each wish of a sandbox is met on this machine; makes nothing.

    amounts: by what its amounts are met; others are not met. machine: another than this one.
    parts: what the launch can do besides.
    """
    return Plan(sandbox, machine or this_machine(), amounts, parts)


def refuse_changed_root(launched: Sandbox) -> None:
    """Raise SandboxError where the directory that is to be the root lacks a place by now."""
    short = list(image_rows(launched))
    if short:
        raise _error(short)


def _as_dict(row: Row) -> dict[str, object]:
    refused = None if row.refused is None else str(row.refused)
    return {**row._asdict(), "refused": refused}


def _row(wish: Wish, machine: Machine, sandbox: Sandbox, parts: frozenset[Part]) -> Row:
    text, refused = wish.text(sandbox), None
    ways = [way for way in wish.ways if way.part is None or way.part in parts]
    remedy = ""
    for way in ways:
        answer = way.granted(machine, sandbox)
        if answer.granted:
            return _met_row(wish.name, text, way, machine, refused, remedy)
        refused = refused or answer
        remedy = remedy or way.remedy(machine, sandbox)
    shortfall = "nothing on this machine meets it" if ways else "this version does not do it yet"
    return Row(wish.name, text, "not", "", shortfall, remedy, refused)


def _met_row(
    name: str, text: str, way: Way, machine: Machine, refused: Answer | None, remedy: str
) -> Row:
    mechanism = way.mechanism.format(abi=machine.landlock_abi)
    shortfall = way.shortfall(machine)
    if not shortfall:
        return Row(name, text, "fully", mechanism)
    return Row(name, text, "partly", mechanism, shortfall, remedy, refused, way.announced)


def _row_of_amount(amount: AmountMechanism, sandbox: Sandbox) -> Row:
    met: Met = "not" if not amount.mechanism else "partly" if amount.shortfall else "fully"
    value = getattr(sandbox, amount.wish, "")
    text = f"{amount.wish} of {written_bytes(int(value)) if amount.wish in IN_BYTES else value}"
    # The description names limits and a watch as what keeps an amount where no cgroup does.
    return Row(
        amount.wish, text, met, amount.mechanism, amount.shortfall, amount.remedy, announced=True
    )


def _error(short: list[Row]) -> SandboxError:
    first = min(short, key=lambda row: (not row.mistaken, row.met == "partly"))
    refused = first.refused or Answer(errno.EOPNOTSUPP)
    others = [row.path or row.wish for row in short if row is not first]
    return SandboxError(
        refused.errno if refused.errno > 0 else errno.EPERM,
        first.shortfall if first.path else f"{first.text}: {_why(first)}",
        first.path or None,
        wish=first.wish,
        mechanism=first.mechanism,
        remedy=first.remedy,
        rules=refused.rules,
        others=dict.fromkeys(others),
    )


def _why(row: Row) -> str:
    if row.met == "partly":
        return f"{row.mechanism} falls short: {row.shortfall}"
    refused = f" ({row.refused})" if row.refused is not None and row.refused.call else ""
    return f"{row.shortfall}{refused}"
