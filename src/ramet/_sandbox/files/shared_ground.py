"""The ground of a description of which there are many: it differs from them in the paths that it names.

As where each task has a directory of its own. One root serves all of them, and each child mounts in it what
its description names, which takes a tenth of the time.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from ..._core import Held, same_files
from ..._setup.order import Slots, Steps
from ..description import Sandbox
from ..identity.identity import identity
from ..planning.plan import Plan
from ..view import View, path_order
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

# A root of its own takes less at each launch, and few programs have more descriptions than these.
_SEVERAL = 2
_NEEDED = frozenset({"user", "mnt", "pid"})


class _Looked(NamedTuple):
    """What a description names: which files these are, and how a child mounts them."""

    files: tuple[bytes, bytes]
    own: OwnPaths | None


def _look(sandbox: Sandbox, taken: Taken) -> _Looked:
    # Identified first: what is replaced meanwhile is looked at again.
    return _Looked(led_to((*sandbox.read, *sandbox.write)), own_paths(sandbox, taken))


class SharedGround:
    """What a Ground is, by that of another description, ``base``, which names no path.

    fits: whether a child can still mount its paths there; where it cannot, a Ground is to be made.
    """

    is_made_together = False

    def __init__(self, base: Ground, sandbox: Sandbox, plan: Plan, looked: _Looked) -> None:
        self.base = base
        self._sandbox = sandbox
        self._plan = plan
        self.identity, self.is_its_own = base.identity, base.is_its_own
        self.user, self.mount = base.user, base.mount
        self._seen: View | None = None  # of the base, when this was looked at
        self._take(looked)

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
    def places(self) -> object:
        """See Ground.places."""
        return self._places

    @property
    def taken(self) -> Taken:
        """See Ground.taken."""
        return self.base.taken

    @property
    def descriptors(self) -> tuple[int, ...]:
        """See Ground.descriptors."""
        return *self.base.descriptors, *self._mapped.values()

    def make_current(self) -> None:
        """See Ground.make_current()."""
        with Held(lock) as take:
            take()
            self.base.make_current()
            if self._seen is not self.base.view or not same_files(*self._files):
                self._seen = None  # it is looked at again, should this fail
                self._take(_look(self._sandbox, self.base.taken))

    def _take(self, looked: _Looked) -> None:
        base, own = self.base.view, looked.own
        self._files = looked.files
        self._places = None if own is None else own.places
        self.fits = own is not None and own.places == self.base.root_places
        self._own = own or OwnPaths((), {})
        self._mapped = {
            one.path: self.base.namespace_of(one.path)
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
    bases = [ground.base for ground in alike if isinstance(ground, SharedGround)]
    taken = (bases[0] if bases else alike[0]).taken
    looked = _look(sandbox, taken)
    own = looked.own
    if own is None or sum(ground.places == own.places for ground in alike) < _SEVERAL:
        return None
    base = next((one for one in bases if one.root_places == own.places), None)
    if base is None:
        base = _base(sandbox, plan, own)
    if base.taken is not taken:
        looked = _look(sandbox, base.taken)
    shared = SharedGround(base, sandbox, plan, looked)
    return shared if shared.fits else None


def _base(sandbox: Sandbox, plan: Plan, own: OwnPaths) -> Ground:
    nothing = sandbox.replace(read=(), write=())
    return Ground(nothing, identity(plan.own_id), plan, None, own.places)


def _may_share(sandbox: Sandbox, plan: Plan) -> bool:
    """Children that wait for their programs have mounted all; of an image all is in its place."""
    has_paths = bool(sandbox.read or sandbox.write)
    has_others = sandbox.hidden or sandbox.overlay or sandbox.root is not None or sandbox.warm
    is_made_apart = plan.namespaces >= _NEEDED and plan.machine.may_copy_mounts
    return has_paths and not has_others and is_made_apart and sandbox.tmp is not None
