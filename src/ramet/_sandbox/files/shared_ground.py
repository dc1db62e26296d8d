"""The ground of a description of which there are many: it differs from them in the paths that it names.

As where each task has a directory of its own. One root serves all of them, and each child mounts in it what
its description names, which takes a tenth of the time.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from ..._core import Held, same_files
from ..._setup.order import Slots, Steps
from ..description import SYSCALLS, Sandbox
from ..identity.identity import Identity, identity
from ..planning.plan import Plan
from ..view import Place, View, path_order
from ..ways import led_to
from .ground import Ground, common_of, lock
from .own_files import add_temporary
from .own_names import text_of_passwd
from .own_paths import (
    PASSWD,
    OwnPaths,
    Taken,
    mount_below_tmp,
    mount_own_paths,
    open_own_paths,
    own_paths,
)
from .replaced import MountPoints
from .sandbox_user import Use, Users

# A root of its own takes less at each launch, and few programs have more descriptions than these.
_SEVERAL = 2
_NEEDED = frozenset({"user", "mnt", "pid"})


class _Looked(NamedTuple):
    """What a description names: which files these are, and how a child mounts them."""

    files: tuple[bytes, bytes]
    own: OwnPaths | None
    places: frozenset[Place] | None


def _look(sandbox: Sandbox, taken: Taken) -> _Looked:
    # Identified first: what is replaced meanwhile is looked at again.
    files = led_to((*sandbox.read, *sandbox.write))
    own = own_paths(sandbox, taken)
    return _Looked(files, own, None if own is None else own.places)


class SharedGround:
    """What a Ground is, by that of another description, ``base``, which names no path.

    fits: whether a child can still mount its paths there; where it cannot, a Ground is to be made.
    places: see Ground.places.
    """

    is_made_together = False

    def __init__(
        self, base: Ground, users: Users, sandbox: Sandbox, plan: Plan, looked: _Looked
    ) -> None:
        self.base, self.users = base, users
        self._sandbox = sandbox
        self._plan = plan
        self._by = object()  # for its own uses
        with Held(lock) as take:
            take()
            self._as_whom = users.free()
        self.mount = base.mount
        self._seen: View | None = None  # of the base, when this was looked at
        self._take(looked)

    @property
    def identity(self) -> Identity:
        """See Ground.identity: that of a user whom no child of another description has."""
        return self._as_whom.identity

    @property
    def user(self) -> int:
        """See Ground.user."""
        return self._as_whom.number

    @property
    def is_its_own(self) -> bool:
        """See Ground.is_its_own."""
        return self._as_whom.is_its_own

    def serves(self, sandbox: Sandbox, plan: Plan) -> bool:
        """See Ground.serves()."""
        return (
            self.fits
            and common_of(self._sandbox) == common_of(sandbox)
            and self._plan.idmapped == plan.idmapped
            and self.is_like(sandbox, plan)
        )

    def is_like(self, sandbox: Sandbox, plan: Plan) -> bool:
        """See Ground.is_like()."""
        return self.base.is_like(sandbox, plan)

    @property
    def points(self) -> MountPoints:
        """See Ground.points: what is named here is mounted at no file of the caller's."""
        return self.base.points

    @property
    def taken(self) -> Taken:
        """See Ground.taken."""
        return self.base.taken

    @property
    def descriptors(self) -> tuple[int, ...]:
        """See Ground.descriptors."""
        return self.user, self.mount, *self._mapped.values()

    def make_current(self) -> Use:
        """See Ground.make_current(). Returns what the child is to keep: until then its user is its own."""
        with Held(lock) as take:
            take()
            self.base.make_current()
            user, use = self.users.use(self._as_whom, self._by)
            is_same = self._seen is self.base.view and same_files(*self._files)
            if user is not self._as_whom or not is_same:
                self._as_whom = user
                self._seen = None  # it is looked at again, should this fail
                self._take(_look(self._sandbox, self.base.taken))
            return use

    def _take(self, looked: _Looked) -> None:
        base = self.base.view
        self._files, own, self.places = looked
        self.fits = self.places == self.base.shared_places
        self._own = own or OwnPaths((), {})
        self._mapped = {
            one.path: self._as_whom.namespace_of(one.path)
            for one in self._own.shown
            if one.path in self._plan.idmapped
        }
        shown = sorted([*base.shown, *self._own.shown], key=path_order)
        self.view = base._replace(shown=shown)
        self._passwd = self._other_passwd(base)
        self._seen = base

    def _other_passwd(self, base: View) -> bytes | None:
        """Where the home of its user is another."""
        if PASSWD not in base.made:
            return None
        own = self.identity
        text = text_of_passwd(self.view, self._sandbox, own.inner_uid, own.inner_gid)
        return None if text == base.made[PASSWD] else text

    def open_paths(self, steps: Steps, slots: Slots) -> None:
        """In the caller's mount namespace: open what the child is to mount."""
        open_own_paths(steps, self._own, self._mapped, slots)

    def add_own_files(self, steps: Steps, size: int, slots: Slots) -> None:
        """See Ground.add_own_files()."""
        mount_own_paths(steps, self._own, slots, self._passwd)
        add_temporary(steps, self.base.view, size)
        mount_below_tmp(steps, self._own, slots)

    def close(self) -> None:
        """See Ground.close(). The base is others' as well."""


AnyGround: TypeAlias = Ground | SharedGround


def shared_ground(
    sandbox: Sandbox, plan: Plan, grounds: Iterable[AnyGround]
) -> SharedGround | None:
    """One for the description, if several of these grounds differ from what it needs in paths alone."""
    alike = [ground for ground in grounds if ground.is_like(sandbox, plan)]
    if len(alike) < _SEVERAL or not _may_share(sandbox, plan):
        return None
    sharing = [ground for ground in alike if isinstance(ground, SharedGround)]
    taken = (sharing or alike)[0].taken
    looked = _look(sandbox, taken)
    places = looked.places
    if places is None or sum(ground.places == places for ground in alike) < _SEVERAL:
        return None
    base, users = next(
        ((one.base, one.users) for one in sharing if one.base.shared_places == places), (None, None)
    )
    if base is None or users is None:
        nothing = sandbox.replace(read=(), write=())
        base, users = Ground(nothing, identity(plan.own_id), plan, None, places), Users(plan)
    if base.taken is not taken:
        looked = _look(sandbox, base.taken)
    shared = SharedGround(base, users, sandbox, plan, looked)
    return shared if shared.fits else None


def _may_share(sandbox: Sandbox, plan: Plan) -> bool:
    """Children that wait for their programs have mounted all; of an image all is in its place."""
    has_paths = bool(sandbox.read or sandbox.write)
    # What a user may leave behind for the next: files of its own, and by a filter of the caller's, keys.
    leaves_nothing = (plan.idmap or plan.own_id == "caller's id") and sandbox.syscalls in SYSCALLS
    has_others = sandbox.hidden or sandbox.overlay or sandbox.root is not None or sandbox.warm
    is_made_apart = plan.namespaces >= _NEEDED and plan.machine.may_copy_mounts
    is_plain = has_paths and not has_others and sandbox.tmp is not None
    return is_plain and is_made_apart and leaves_nothing
