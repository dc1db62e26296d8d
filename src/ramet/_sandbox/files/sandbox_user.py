"""Who the children of a sandbox are: a user namespace, and one for each owner of files that they use."""

import os
import weakref
from collections.abc import Callable, Sequence

from ..._kernel.clone_bits import NEWUSER
from ..._kernel.descriptors import Descriptors
from ..._setup.order import Steps
from ...errors import SpawnError
from ..identity.identity import Identity, identity
from ..identity.shared_counts import most_of_a_sandbox
from ..planning.plan import Plan
from ..planning.waiting_child import kept_namespaces

_MOST_FREE = 16  # as many descriptions are kept


class SandboxUser:
    """An identity, and what maps it. number: a descriptor of its user namespace, -1 where it has none."""

    def __init__(self, own: Identity, plan: Plan) -> None:
        self.identity = own
        self.number = -1
        self._plan = plan
        self._held = Descriptors()
        # By owner, the user namespace that maps the ids of files that the sandbox is to have that
        # owner's rights to.
        self._owners: dict[tuple[int, int], int] = {}

    @property
    def is_its_own(self) -> bool:
        """Whether it makes its user namespace itself, so that nothing in it counts for the caller."""
        machine = self._plan.machine
        namespaces = {"user", "mnt"} <= self._plan.namespaces and machine.may_copy_mounts
        may_be = machine.circumstances.may_use_namespaces_of_others
        return namespaces and self.identity.is_nobodys and may_be

    def make(self) -> None:
        """Its user namespace alone, where no mounts are made with it."""
        self.keep(0, ["user"], no_steps, self._take, user_last=True)

    def _take(self, path: str) -> None:
        self.number = self._opened(path)

    def keep(
        self,
        flags: int,
        kinds: Sequence[str],
        add_steps: Callable[[Steps], None],
        keep_one: Callable[[str], None],
        *,
        user_last: bool = False,
    ) -> None:
        """Have a child make namespaces of these kinds, and keep them; see kept_namespaces()."""
        owner = self.identity.outer_uid if user_last and self.is_its_own else None
        is_shared = owner is None and (user_last or bool(flags & NEWUSER))
        machine = self._plan.machine
        try:
            kept_namespaces(
                *(flags, kinds, self.identity.write_maps, add_steps, keep_one),
                user_last=user_last,
                owner=owner,
                most=most_of_a_sandbox() if is_shared and machine.lowers_counts else None,
            )
        except SpawnError:
            machine.forget_mounts()
            raise

    def namespace_of(self, path: str) -> int:
        """The user namespace that maps the ids of the owner of that path, by a descriptor."""
        found = os.stat(path, follow_symlinks=False)
        owner = found.st_uid, found.st_gid
        if owner not in self._owners:
            self._owners[owner] = self._namespace_for(*owner)
        return self._owners[owner]

    def _namespace_for(self, uid: int, gid: int) -> int:
        kept: list[int] = []
        kept_namespaces(
            NEWUSER,
            ["user"],
            lambda pid: self.identity.write_maps_of_files(pid, uid, gid),
            no_steps,
            lambda path: kept.append(self._opened(path)),
        )
        return kept[0]

    def _opened(self, path: str) -> int:
        return self._held.open(os.open, path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the namespaces now."""
        self._held.close()


class Use:
    """Of a user, by a child that lives: no other description is to have that user meanwhile."""


class Lent:
    """A user that nobody else has as long as this is there, or a use of it."""

    def __init__(self, user: SandboxUser, free: list[SandboxUser]) -> None:
        self.user = user
        self._uses: list[weakref.ref[Use]] = []  # one at most, which its children share
        end = weakref.finalize(self, _give_back, user, free, self._uses)
        end.atexit = False

    def use(self) -> Use:
        """For a child to keep until all that it has started has ended."""
        used = self._uses[0]() if self._uses else None
        if used is None:
            used = Use()
            self._uses[:] = [weakref.ref(used)]
        return used


class Users:
    """The users of descriptions that share a root: each has one of its own, which others had before."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._free: list[SandboxUser] = []

    def lend(self) -> Lent:
        """One that is free, or a new one. Raises as kept_namespaces() does."""
        try:
            user = self._free.pop()
        except IndexError:
            user = SandboxUser(identity(self._plan.own_id), self._plan)
            user.make()
        return Lent(user, self._free)


def _give_back(user: SandboxUser, free: list[SandboxUser], uses: list["weakref.ref[Use]"]) -> None:
    is_used = any(use() is not None for use in uses)
    if not is_used and len(free) < _MOST_FREE:
        free.append(user)


def no_steps(_: Steps) -> None:
    """For kept_namespaces(): the namespaces are all that is wanted."""
