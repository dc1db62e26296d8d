"""The steps by which the child of a program is confined."""

from collections.abc import Sequence
from typing import NamedTuple

from .._core import TidWord
from .._setup.order import Steps
from .confinement import Confinement
from .description import SYSCALLS, Sandbox
from .layer import Layer
from .network_pool import NO_NETWORK, NetworkPool

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

    def name_of(self, told: int) -> str:
        """The name of a call that the filter has told of."""
        assert self.filter_program is not None
        architecture = _OF_ANOTHER if told & _FOREIGN else None
        return self.filter_program.name_of(told & ~_FOREIGN, architecture)


class InPlace(NamedTuple):
    """The confinement of one child, with what is its own: cgroups, a layer. What a setup takes.

    entries: descriptors of the files of its cgroups in which it writes itself. told: the word for
    the call that its filter tells of; None where it tells of none.
    """

    confinement: OfProgram
    entries: Sequence[int] = ()
    layer: Layer | None = None
    told: TidWord | None = None
    network: int = NO_NETWORK

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
        self.confinement.inside(steps, self.layer)

    def kept(self, free: int) -> Sequence[int]:
        """Descriptors that stay when the others are closed, until finish()."""
        return () if self.told is None else (free,)

    def finish(self, steps: Steps, free: int) -> None:
        """The last steps, after which less is allowed."""
        self.confinement.restrict(steps)
        self.confinement.filter(steps, None if self.told is None else free)

    @property
    def is_common(self) -> bool:
        """Whether its steps are those of any other child of the sandbox."""
        return (
            not self.entries
            and self.layer is None
            and self.told is None
            and self.network == NO_NETWORK
        )
