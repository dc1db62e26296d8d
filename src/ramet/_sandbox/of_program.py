"""The steps by which the child of a program is confined."""

from typing import NamedTuple

from .._setup.order import Steps
from .confinement import Confinement
from .description import Sandbox
from .layer import Layer
from .network_pool import NO_NETWORK, NetworkPool
from .place import Place


class OfProgram(Confinement):
    """The confinement of a program.

    networks: what makes network namespaces ahead, None where there are none to be made.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.networks: NetworkPool | None = None
        if sandbox.warm and "net" in self.plan.namespaces:
            brings_up = sandbox.network == "loopback"
            self.networks = NetworkPool(sandbox.warm, self.ground.user, brings_up=brings_up)


class InPlace(NamedTuple):
    """The same for one child, with what is its own: cgroups, a layer. What a setup takes."""

    confinement: OfProgram
    place: Place
    layer: Layer | None = None
    network: int = NO_NETWORK

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that the child needs while it is set up."""
        own = () if self.network == NO_NETWORK else (self.network,)
        return (*self.confinement.descriptors, *self.place.entries, *own)

    def enter(self, steps: Steps) -> None:
        """See Confinement."""
        self.confinement.enter(steps, self.network)

    def inside(self, steps: Steps) -> None:
        """It enters the cgroups first, so that all is counted."""
        for entry in self.place.entries:
            steps.add("write cgroup.procs", "PUT", entry, b"0", 1)
        self.confinement.inside(steps, self.layer)

    def finish(self, steps: Steps) -> None:
        """See Confinement."""
        self.confinement.finish(steps)
