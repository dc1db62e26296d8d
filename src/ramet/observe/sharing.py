"""What tasks share that were looked at: kernel objects, namespaces, control groups."""

from collections.abc import Mapping
from typing import Any, Final

from ..law import SHARES
from ..lowlevel import KcmpType
from .kernel_objects import Users
from .looks import Look
from .tree_report import CGROUP, NAMESPACES

_KINDS: Final = {
    row.key: KcmpType[row.probe.removeprefix("KCMP_")]
    for row in SHARES
    if row.probe.startswith("KCMP_")
}
# A task has its handlers until it is reaped, so that one that has ended is no sign of having none.
_KEPT_AT_THE_END: Final = {"sighand"}
# Made at the first use: two tasks that have none compare as equal.
_PERHAPS_NONE: Final = {"io", "sysvsem"}


class Sharing:
    """Compares tasks. ``nothing``: a task that is known to have no objects, or None.

    ``looks`` are in an order in which a process is before its threads.
    """

    def __init__(self, looks: list[Look], nothing: int | None) -> None:
        self._known = {one.pid: one for one in looks}
        self._users = {key: Users(kind) for key, kind in _KINDS.items()}
        self._nothing = nothing if nothing is not None and self._begins_with(nothing) else None
        for one in looks:
            self._compare(one)
        if self._nothing is not None:
            # The kernel takes the I/O context from a task some time after it can be reaped (do_exit).
            self._users["io"].look_again_for(self._nothing)

    def _begins_with(self, nothing: int) -> bool:
        """Whether it could be added: it may be compared, and this kernel compares."""
        try:
            for key in self._users.keys() - _KEPT_AT_THE_END:
                self._users[key].add(nothing)
        except OSError:
            return False
        return True

    def _compare(self, one: Look) -> None:
        if one.why or one.has_ended:
            return
        try:
            for users in self._users.values():
                users.add(one.pid, likely=one.process)
        except ProcessLookupError:
            one.look_again()
        except OSError as error:
            one.why = error.strerror or "the kernel gives no reason"

    def uses(self, one: Look) -> dict[str, int | None]:
        """The first user of each of its objects, None where it has none; without what is not known."""
        if one.has_ended:
            return {}
        groups = {key: users.group(one.pid) for key, users in self._users.items()}
        return {
            key: self._first_user(group)
            for key, group in groups.items()
            if group and not self._is_perhaps_none(key, group)
        }

    def _first_user(self, group: list[int]) -> int | None:
        if group[0] == self._nothing:
            return None
        return next((pid for pid in group if not self._known[pid].has_ended), None)

    def _is_perhaps_none(self, key: str, group: list[int]) -> bool:
        return self._nothing is None and key in _PERHAPS_NONE and len(group) > 1

    def with_parent(self, one: Look) -> tuple[dict[str, bool | None], dict[str, str]]:
        """Whether it has the same as its parent, by name, and why that is not known."""
        shares: dict[str, bool | None] = {}
        unknown: dict[str, str] = {}
        if one.has_ended:
            return shares, unknown
        parent = self._known.get(one.parent)
        mine = self._all(one)
        if parent is None:
            return shares, {key: one.why for key in _ALL if one.why and key not in mine}
        theirs = self._all(parent)
        for key in _ALL:
            if key in mine and key in theirs:
                shares[key] = mine[key] is not None and mine[key] == theirs[key]
            elif key in mine or key in theirs or one.why or parent.why or parent.has_ended:
                shares[key] = None
                unknown[key] = self._why(key, one, parent)
        return shares, unknown

    def _all(self, one: Look) -> Mapping[str, Any]:
        known: dict[str, Any] = {**self.uses(one), **one.namespaces}
        return {**known, CGROUP: one.cgroups} if one.cgroups else known

    def _why(self, key: str, one: Look, parent: Look) -> str:
        if one.why:
            return one.why
        if parent.why:
            return f"its parent: {parent.why}"
        if parent.has_ended:
            return "its parent has ended"
        if self._nothing is None and key in _PERHAPS_NONE:
            return "either one for both, or none"
        return "it has changed while it was looked at"


_ALL: Final = (*_KINDS, *NAMESPACES, CGROUP)
