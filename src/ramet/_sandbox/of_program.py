"""The steps by which the child of a program is confined."""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from .._core import TidWord
from .._kernel.names import PR_SET_NO_NEW_PRIVS
from .._setup.descriptor_moves import Moves
from .._setup.order import Slots, Steps
from .._setup.step_makers import Setup
from .._setup.steps import steps_of
from .amounts.place import Place
from .confinement import Confinement
from .description import SYSCALLS, Sandbox
from .identity.identity import fresh
from .overlay.layer import Layer
from .prepared_children import PreparedChild, PreparedChildren
from .supervision import Supervision
from .syscalls import Filter
from .whole_tree import Tree, tree_of

_NONE = -1
_NEEDED = frozenset({"mnt", "pid"})
_ENOUGH_FILES = 64  # for the descriptors that a child is sent, above those of its program
_FOREIGN = 0x20000000  # RAMET_FOREIGN_CALL, native/child/namespace_init.h
_OF_ANOTHER = 0  # no architecture has this number


class OfProgram(Confinement):
    """The confinement of a program.

    With ``forbidden="kill"`` the init of its pid namespace is told by the kernel of a forbidden
    call, kills all, and so its name is known. Not where the filter is the caller's own: it may
    forbid what the child needs to tell it.

    prepared: children that are confined ahead, None where there are none to be.
    """

    mounts_paths = True

    def __init__(self, sandbox: Sandbox, others: Iterable[Confinement] = ()) -> None:
        super().__init__(sandbox, others)
        self.prepared: PreparedChildren | None = None
        # Of a child of which nothing is watched; who has it keeps no namespace by it.
        amounts, lost = self.amounts, self.plan.lost
        self.new_supervision = lambda: Supervision(amounts.new_place(), lost)
        if self.sandbox.warm and self._can_prepare:
            self.prepared = PreparedChildren(self.sandbox.warm, _preparing(weakref.ref(self)))
            self.prepared.fill_up()

    def close(self) -> None:
        """See Confinement."""
        if self.prepared is not None:
            self.prepared.close()
        super().close()

    @property
    def _can_prepare(self) -> bool:
        """Not where each program has a user, or all together a limit of their processes."""
        sandbox = self.sandbox
        return (
            self.plan.namespaces >= _NEEDED
            and self.plan.tree_ends_by == "pid namespace"
            and (sandbox.processes is None or "pids" in self.amounts.controllers)
            and (sandbox.open_files is None or sandbox.open_files >= _ENOUGH_FILES)
            and sandbox.syscalls in {*SYSCALLS, None}
        )

    @property
    def is_unwatched(self) -> bool:
        """Whether a child has nothing of its own but a pid namespace: nothing is done until it ends."""
        has_own = self.layers is not None or self.names_calls or self.looks_beside_hidden
        is_watched = self.amounts.are_wished
        return self.plan.tree_ends_by == "pid namespace" and not (has_own or is_watched)

    def new_parts(self) -> tuple["OfOneChild", Supervision]:
        """What one child has of its own, and what watches it."""
        place = self.new_place()
        layer = None if self.layers is None else self.layers.new()
        told = self.new_word()
        name_of = None
        if told is not None and self.filter_program is not None:
            name_of = partial(_name_of, self.filter_program)
        tree = self.new_tree(place)
        supervision = Supervision(place, self.plan.lost, layer, told, name_of, tree)
        return OfOneChild(self, place.entries, layer, told, tree), supervision

    def prepare(self) -> PreparedChild | None:
        """A child that waits for its program. Raises OSError."""
        assert self.prepared is not None
        self.make_current()
        view = self.ground.view
        own, supervision = self.new_parts()
        try:
            steps = self._steps_ahead(own, self.prepared.place)
            # Our filters refuse CLONE_PARENT; with one of the caller's own, none is prepared.
            has_siblings = self.filter_program is None
            child = self.prepared.make(steps, supervision, view, has_siblings=has_siblings)
        except BaseException:
            supervision.give_up()
            raise
        if child is None:
            supervision.give_up()
        return child

    def _steps_ahead(self, own: "OfOneChild", place: int) -> Steps:
        """All but those of its program, which is sent its descriptors."""
        moves = Moves({"pass_fds": [place]}, keeps_standard=False)
        asked = {"sandbox": self.sandbox, **self.taken_back(), **self.implied({})}
        setup = Setup(asked, shared_table=True, moves=moves, confining=own)
        return steps_of(setup)

    @property
    def names_calls(self) -> bool:  # type: ignore[override]
        """See Confinement."""
        wished = self.sandbox.forbidden == "kill" and self.sandbox.syscalls in SYSCALLS
        return (
            wished and "pid" in self.plan.namespaces and self.plan.machine.seccomp_listener.granted
        )

    def new_word(self) -> TidWord | None:
        """A word for the call that the filter of one child tells of, if it does."""
        return TidWord(_NONE) if self.names_calls else None

    def new_tree(self, place: Place) -> Tree | None:
        """What ends all that one child starts; None where its pid namespace does."""
        ends = self.plan.tree_ends_by
        return tree_of(ends, fresh() if ends == "user" else None, place)


def _name_of(made: Filter, told: int) -> str:
    """The name of a call that the filter has told of."""
    architecture = _OF_ANOTHER if told & _FOREIGN else None
    return made.name_of(told & ~_FOREIGN, architecture)


def _preparing(
    handle: "weakref.ref[OfProgram]",
) -> Callable[[], PreparedChild | None]:
    def prepare() -> PreparedChild | None:
        confinement = handle()
        return None if confinement is None else confinement.prepare()

    return prepare


class OfOneChild(NamedTuple):
    """The confinement of one child, with what is its own: cgroups, a layer. What a setup takes.

    entries: descriptors of the files of its cgroups in which it writes itself. told: the word for
    the call that its filter tells of; None where it tells of none.
    tree: what ends all that it starts; None where its pid namespace does.
    """

    confinement: OfProgram
    entries: Sequence[int] = ()
    layer: Layer | None = None
    told: TidWord | None = None
    tree: Tree | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that the child needs while it is set up."""
        return (*self.confinement.descriptors, *self.entries)

    def enter(self, steps: Steps, free: int, slots: Slots) -> None:
        """Leave the caller's namespaces; the last step makes the child that goes on."""
        self.confinement.ground.open_paths(steps, slots)
        self.confinement.leave(steps)
        if "pid" in self.confinement.plan.namespaces:
            told = (_NONE, 0) if self.told is None else (free, self.told.address)
            steps.add("clone(NEWPID)", "PID_NAMESPACE", _NONE, *told)

    def inside(self, steps: Steps, slots: Slots) -> None:
        """It enters the cgroups first, so that all is counted."""
        for entry in self.entries:
            steps.add("write cgroup.procs", "PUT", entry, b"0", 1)
        if self.tree is not None:
            self.tree.add_steps(steps)
        self.confinement.inside(steps, self.layer, slots)

    def kept(self, free: int) -> Sequence[int]:
        """Descriptors that stay when the others are closed, until finish()."""
        return () if self.told is None else (free,)

    def restrict_paths(self, steps: Steps) -> None:
        """See Confinement.restricts_early."""
        if self.confinement.restricts_early:
            steps.add("prctl(PR_SET_NO_NEW_PRIVS)", "PRCTL", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            self.confinement.restrict(steps)

    def finish(self, steps: Steps, free: int) -> None:
        """The last steps, after which less is allowed."""
        if not self.confinement.restricts_early:
            self.confinement.restrict(steps)
        self.confinement.filter(steps, None if self.told is None else free)

    @property
    def is_common(self) -> bool:
        """Whether its steps are those of any other child of the sandbox."""
        own = (self.layer, self.told, self.tree)
        # What stands beside the hidden is another by the next launch.
        if self.confinement.looks_beside_hidden:
            return False
        return not self.entries and all(one is None for one in own)

    @property
    def implied(self) -> Mapping[str, Any]:
        """Options of this child alone: as whom it runs, where no other does."""
        own = None if self.tree is None else self.tree.identity
        return {} if own is None else {"user": own.outer_uid, "group": own.outer_gid}
