"""The mount namespace in which the children of a sandbox begin: its root directory, made once and kept.

A child joins it and copies it, which takes as long as there are mounts in it, however many the
caller has. It is kept by a descriptor alone. With the right to mount it is built in a copy of a
namespace that has next to nothing in it, so that the caller's mounts are copied once in a process. What
is below it is the caller's own file systems, so a change in a file is seen; it is made anew when the
caller's mounts have changed, or when a path of the description, or a file that is mounted over, is another
by now.
"""

import os
import select
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from operator import attrgetter

from ..._core import Held, same_files
from ..._kernel.clone_bits import NEWNS, NEWUSER
from ..._kernel.descriptors import Descriptors
from ..._setup.order import Slots, Steps
from ..description import Sandbox
from ..identity.identity import Identity
from ..planning.plan import Plan, refuse_changed_root
from ..view import Place, View, view_of
from ..ways import led_to
from .bare_mounts import BareMounts, bare_mounts
from .mount_points import mount_points
from .own_files import add_temporary
from .own_names import with_own_names
from .own_paths import Taken, by_place, places_of, taken_by
from .replaced import ON_NOTHING, MountPoints, are_mounted, identified
from .root import add_root
from .sandbox_user import SandboxUser, no_steps

_MOUNTS = "/proc/self/mounts"
_ATTRIBUTES = {"user": "user", "mnt": "mount"}  # of a Ground, by the names in /proc/PID/ns

# What each child is given for itself: two descriptions that differ in these alone have one ground, and so
# one user. Not ``processes``, which may limit all that a user has, nor ``hostname``, by which a caller has
# two sandboxes apart that are alike.
_OF_A_CHILD = frozenset(
    {"environment", "memory", "swap", "cpu_time", "cpus", "open_files", "file_size", "output"}
    | {"timeout", "require", "warm"}
)
_PATHS = frozenset({"read", "write"})
_COMMON = [one.name for one in fields(Sandbox) if one.name not in _OF_A_CHILD]
common_of = attrgetter(*_COMMON)
common_but_paths = attrgetter(*(name for name in _COMMON if name not in _PATHS))

# Two threads shall not make one anew, nor ask one poll object; a signal handler may.
lock = threading.RLock()
os.register_at_fork(after_in_child=lock._at_fork_reinit)  # type: ignore[attr-defined] # as threading does


class Ground:
    """The namespaces of a sandbox: ``user`` and ``mount`` are descriptors, which keep their numbers."""

    fits = True  # see SharedGround

    def __init__(
        self,
        sandbox: Sandbox,
        identity: Identity,
        plan: Plan,
        layers: str | None,
        shared_places: frozenset[Place] | None = None,
    ) -> None:
        """layers: the directory of those of its children.

        shared_places: what its root has for the paths of others, who share it, and have users of their own.
        """
        self._layers = layers
        self.shared_places = shared_places
        self._sandbox = sandbox
        self._as_whom = SandboxUser(identity, plan)
        self.identity, self.is_its_own = identity, self._as_whom.is_its_own
        self._plan = plan
        self._held = Descriptors()
        self._files = b"", b""
        self._of_view: tuple[View, Taken, frozenset[Place] | None] | None = None
        self.points: MountPoints = ON_NOTHING
        """Files of the caller's at which something is mounted, for are_mounted()."""
        # A change of the mounts is told once, also where it is not made anew then.
        self._is_made = False
        self.user = self.mount = -1
        self.bare: BareMounts | None = None
        # A caller who may not copy its own mounts may copy those of a namespace that is made for it.
        self.is_made_together = not plan.machine.may_copy_mounts
        self._poll = select.poll()
        if "mnt" in plan.namespaces:
            self._poll.register(self._opened(_MOUNTS), select.POLLPRI | select.POLLERR)
        self._make()

    def serves(self, sandbox: Sandbox, plan: Plan) -> bool:
        """Whether another description has the same: it differs in what each child has for itself alone.

        Not where each child has a layer, nor where those of one user see each other.
        """
        return (
            self._layers is None
            and not sandbox.overlay
            and {"user", "mnt", "pid"} <= plan.namespaces
            and common_of(self._sandbox) == common_of(sandbox)
            and self._plan.idmapped == plan.idmapped
            and self.is_like(sandbox, plan)
        )

    def is_like(self, sandbox: Sandbox, plan: Plan) -> bool:
        """Whether another differs in its paths, and in what each child has for itself, alone."""
        own = self._plan
        return (
            common_but_paths(self._sandbox) == common_but_paths(sandbox)
            and own.machine is plan.machine
            and (own.namespaces, own.own_id) == (plan.namespaces, plan.own_id)
        )

    @property
    def taken(self) -> Taken:
        """What the root has but for what is named."""
        return self._as_root()[0]

    @property
    def places(self) -> frozenset[Place] | None:
        """What a root would have in the place of what is named; None where that can have none."""
        return self._as_root()[1]

    def _as_root(self) -> tuple[Taken, frozenset[Place] | None]:
        """Worked out for few grounds, and once for each view of these."""
        view, found = self.view, self._of_view
        if found is None or found[0] is not view:
            taken = taken_by(view)
            placed = by_place([one for one in view.shown if one.named], taken)
            found = view, taken, None if placed is None else places_of(placed)
            self._of_view = found
        return found[1:]

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that a child needs to begin in it."""
        return tuple(number for number in (self.user, self.mount) if number >= 0)

    def open_paths(self, steps: Steps, slots: Slots) -> None:
        """See SharedGround."""

    def add_own_files(self, steps: Steps, size: int, _: Slots) -> None:
        """/tmp and /dev/shm, of so many bytes, and what is seen below /tmp."""
        add_temporary(steps, self.view, size)

    def close(self) -> None:
        """Let go of the namespaces now: no child begins in them any more."""
        self._held.close()
        self._as_whom.close()
        self.bare = None

    def make_current(self) -> None:
        """Make it anew if what it shows is not what the caller sees any more; the numbers stay.

        Returns nothing that a child has to keep: all children have the one user.
        """
        with Held(lock) as take:
            take()
            is_current = same_files(*self._files) and are_mounted(self.points)
            if self._poll.poll(0) or not self._is_made or not is_current:
                self._make()

    def _make(self) -> None:
        self._is_made = False
        self._make_of_view()
        self._is_made = True

    def _make_of_view(self) -> None:
        view = self._seen()
        self._files = led_to(_paths(self._sandbox, view))
        self.view = view
        self.points = ON_NOTHING
        if "mnt" not in self._plan.namespaces:
            self._make_user()
            return
        # Before anything is mounted: what is replaced meanwhile is seen.
        refuse_changed_root(self._sandbox)
        self.points = identified(mount_points(self._sandbox, view))
        if self.is_made_together:
            self._make_together(view)
        else:
            self._make_apart(view)

    def _seen(self) -> View:
        view = view_of(self._sandbox, self._layers)
        if "mnt" not in self._plan.namespaces:
            return view
        own, is_mapped = self.identity, "user" in self._plan.namespaces
        ids = (own.inner_uid, own.inner_gid) if is_mapped else (own.outer_uid, own.outer_gid)
        return with_own_names(view, self._sandbox, *ids)._replace(places=self.shared_places or ())

    def _make_user(self) -> None:
        """The user namespace alone, if there is to be one; once."""
        if self._lacks_user:
            self._keep(NEWUSER, ["user"], no_steps)

    def _make_together(self, view: View) -> None:
        """The mounts, in a copy of the caller's, and the user namespace that owns them, if any."""
        flags, kinds, owner = NEWNS, ["mnt"], None
        if "user" in self._plan.namespaces:
            flags, kinds = NEWNS | NEWUSER, ["user", "mnt"]
            own = self.identity
            owner = None if own.is_callers else (own.inner_uid, own.inner_gid)
        add_steps = partial(add_root, sandbox=self._sandbox, view=view, mapped={}, owner=owner)
        self._keep(flags, kinds, add_steps)

    def _make_apart(self, view: View) -> None:
        """The mounts, in a copy of bare ones; then, once, the user namespace, which does not own them."""
        user_last = self._lacks_user
        kinds = ["mnt", "user"] if user_last else ["mnt"]
        mapped = dict(self._mapped(view))
        self.bare = self.bare or bare_mounts()
        add_steps = partial(
            add_root, sandbox=self._sandbox, view=view, mapped=mapped, bare=self.bare.number
        )
        self._keep(0, kinds, add_steps, user_last=user_last)

    @property
    def _lacks_user(self) -> bool:
        """Whether a user namespace is to be made: it stays the same when the mounts are made anew."""
        is_shared = self.shared_places is not None
        return "user" in self._plan.namespaces and self.user < 0 and not is_shared

    def _mapped(self, view: View) -> Iterator[tuple[str, int]]:
        """Namespaces of the named paths whose file systems can map ids, and of the layers' directory."""
        granted = {os.path.realpath(path) for path in self._plan.idmapped}
        for one in view.shown:
            whole = one.part_of or one.path
            if one.named and whole in granted and _is_on_one_file_system(whole, one.path):
                yield one.path, self._as_whom.namespace_of(whole)
        # Also for a single file: its copy is there, and its own file system need not map ids.
        is_another = self._plan.own_id == "unused id" and "user" in self._plan.namespaces
        if view.layers is not None and is_another:
            yield view.layers.path, self._as_whom.namespace_of(view.layers.path)

    def _keep(
        self,
        flags: int,
        kinds: list[str],
        add_steps: Callable[[Steps], None],
        *,
        user_last: bool = False,
    ) -> None:
        """Have a child make namespaces of these kinds, and keep them."""
        self._as_whom.keep(flags, kinds, add_steps, self._keep_one, user_last=user_last)

    def _keep_one(self, path: str) -> None:
        """By its descriptor, which keeps the number that it had for the one before."""
        name = _ATTRIBUTES[os.path.basename(path)]
        number = getattr(self, name)
        if number < 0:
            setattr(self, name, self._opened(path))
            return
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.dup2(opened, number, inheritable=False)
        finally:
            os.close(opened)

    def _opened(self, path: str) -> int:
        return self._held.open(os.open, path, os.O_RDONLY | os.O_CLOEXEC)


def _paths(sandbox: Sandbox, view: View) -> list[str]:
    """Those of which each is to lead to the same file as long as what is made of them is used."""
    named = (*sandbox.read, *sandbox.write, *sandbox.hidden)
    roots = [] if sandbox.root is None else [sandbox.root]
    return list(dict.fromkeys([*named, *roots, *(one.path for one in view.shown)]))


def _is_on_one_file_system(whole: str, part: str) -> bool:
    """Not what is mounted below a directory: its ids stay as they are."""
    return whole == part or os.stat(whole).st_dev == os.stat(part).st_dev
