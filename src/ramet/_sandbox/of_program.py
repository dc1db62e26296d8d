"""The steps by which the child of a program is confined."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .._core import TidWord
from .._kernel.names import PR_SET_NO_NEW_PRIVS
from .._setup.order import Steps
from .confinement import Confinement
from .description import SYSCALLS, Sandbox
from .identity import fresh
from .layer import Layer
from .network_pool import NO_NETWORK, NetworkPool
from .place import Place
from .whole_tree import Tree, tree_of

_NONE = -1
_FOREIGN = 0x20000000  # RAMET_FOREIGN_CALL, native/child/namespace_init.h
_OF_ANOTHER = 0  # no architecture has this number


class OfProgram(Confinement):
    """The confinement of a program.

    With ``forbidden="kill"`` the init of its pid namespace is told by the kernel of a forbidden
    call, kills all, and so its name is known. Not where the filter is the caller's own: it may
    forbid what the child needs to tell it.

    networks: what makes network namespaces ahead, None where there are none to be made.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.networks: NetworkPool | None = None
        if sandbox.warm and "net" in self.plan.namespaces:
            brings_up = sandbox.network == "loopback"
            self.networks = NetworkPool(sandbox.warm, self.ground.user, brings_up=brings_up)

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

    def name_of(self, told: int) -> str:
        """The name of a call that the filter has told of."""
        assert self.filter_program is not None
        architecture = _OF_ANOTHER if told & _FOREIGN else None
        return self.filter_program.name_of(told & ~_FOREIGN, architecture)


class InPlace(NamedTuple):
    """The confinement of one child, with what is its own: cgroups, a layer. What a setup takes.

    entries: descriptors of the files of its cgroups in which it writes itself. told: the word for
    the call that its filter tells of; None where it tells of none.
    tree: what ends all that it starts; None where its pid namespace does.
    """

    confinement: OfProgram
    entries: Sequence[int] = ()
    layer: Layer | None = None
    told: TidWord | None = None
    network: int = NO_NETWORK
    tree: Tree | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that the child needs while it is set up."""
        own = () if self.network == NO_NETWORK else (self.network,)
        return (*self.confinement.descriptors, *self.entries, *own)

    def enter(self, steps: Steps, free: int) -> None:
        """Leave the caller's namespaces; the last step makes the child that goes on."""
        self.confinement.leave(steps, self.network)
        if "pid" in self.confinement.plan.namespaces:
            told = (_NONE, 0) if self.told is None else (free, self.told.address)
            steps.add("clone(NEWPID)", "PID_NAMESPACE", _NONE, *told)

    def inside(self, steps: Steps) -> None:
        """It enters the cgroups first, so that all is counted."""
        for entry in self.entries:
            steps.add("write cgroup.procs", "PUT", entry, b"0", 1)
        if self.tree is not None:
            self.tree.add_steps(steps)
        self.confinement.inside(steps, self.layer)

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
        is_usual = self.network == NO_NETWORK and not self.entries
        return is_usual and all(one is None for one in own)

    @property
    def implied(self) -> Mapping[str, Any]:
        """Options of this child alone: as whom it runs, where no other does."""
        own = None if self.tree is None else self.tree.identity
        return {} if own is None else {"user": own.outer_uid, "group": own.outer_gid}
