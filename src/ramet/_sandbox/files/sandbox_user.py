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

_MOST_FREE = 4  # are kept
_MOST_OWNERS = 16


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
        self._use: Callable[[], Use | None] = _unused

    @property
    def has_many_owners(self) -> bool:
        """Whether no other description is to have it: each owner of files takes a descriptor."""
        return len(self._owners) >= _MOST_OWNERS

    def used(self) -> "Use | None":
        """Its use; None where no child lives."""
        return self._use()

    def use(self, by: object) -> "Use":
        """From now on, by the children of that description."""
        use = Use(by)
        self._use = weakref.ref(use)
        return use

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


def _unused() -> None:
    """Of a user: nobody has it."""


class Use:
    """Of a user, by the children of one description: as long as this is there, no other has that user."""

    def __init__(self, by: object) -> None:
        self.by = by


class Users:
    """The users of descriptions that share a root: each has one of its own while children of it live."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._users: list[SandboxUser] = []

    def free(self) -> SandboxUser:
        """One that nobody has. Raises as kept_namespaces() does."""
        self._users = [user for user in self._users if not user.has_many_owners]
        free = [user for user in self._users if user.used() is None]
        for one in free[_MOST_FREE:]:
            self._users.remove(one)
        if free:
            return free[0]
        made = SandboxUser(identity(self._plan.own_id), self._plan)
        made.make()
        self._users.append(made)
        return made

    def use(self, wanted: SandboxUser, by: object) -> tuple[SandboxUser, Use]:
        """That user, or a free one where another has it, for a child to be made."""
        used = wanted.used()
        if used is not None and used.by is by:
            return wanted, used
        user = wanted if used is None else self.free()
        return user, user.use(by)


def no_steps(_: Steps) -> None:
    """For kept_namespaces(): the namespaces are all that is wanted."""
