"""The steps by which the child of a program is confined."""

from typing import NamedTuple

from .._setup.order import Steps
from .confinement import Confinement
from .layer import Layer
from .place import Place


class OfProgram(Confinement):
    """The confinement of a program."""


class InPlace(NamedTuple):
    """The same for one child, with what is its own: cgroups, a layer. What a setup takes."""

    confinement: OfProgram
    place: Place
    layer: Layer | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that the child needs while it is set up."""
        return (*self.confinement.descriptors, *self.place.entries)

    def enter(self, steps: Steps) -> None:
        """See Confinement."""
        self.confinement.enter(steps)

    def inside(self, steps: Steps) -> None:
        """It enters the cgroups first, so that all is counted."""
        for entry in self.place.entries:
            steps.add("write cgroup.procs", "PUT", entry, b"0", 1)
        self.confinement.inside(steps, self.layer)

    def finish(self, steps: Steps) -> None:
        """See Confinement."""
        self.confinement.finish(steps)
