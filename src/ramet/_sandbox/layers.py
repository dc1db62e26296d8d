"""The directory in which each child of a sandbox has a layer of its own."""

import weakref
from typing import Protocol

from .description import Sandbox
from .layer import Layer, new_directory, parts_of, remove_in, this_process

__all__ = ["Layers"]


class Guard(Protocol):
    """A process that removes the directory when this one was killed."""

    def discard(self) -> None:
        """End it."""


class Layers:
    """Makes the layers of a sandbox's children; the directory goes with this object and the last of them.

    Raises ValueError for what is to be written and cannot have a layer, see Layer.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.parts = parts_of(sandbox.write)
        self.directory = new_directory([part.target for part in self.parts], None)
        self._paths = sandbox.write
        self._guards: list[Guard] = []
        self._remove = weakref.finalize(self, _end, this_process(), self.directory, self._guards)

    def new(self) -> Layer:
        """One for a child that sees the paths as they are now."""
        return Layer.below(self.directory, parts_of(self._paths), self)

    def new_as_before(self) -> Layer:
        """One for a child that sees them as they were when this object was made."""
        return Layer.below(self.directory, self.parts, self)

    @property
    def is_guarded(self) -> bool:
        """Whether guard() was called."""
        return bool(self._guards)

    def guard(self, guard: Guard) -> None:
        """Let it end with the directory."""
        self._guards.append(guard)


def _end(process: tuple[int, str], directory: str, guards: list[Guard]) -> None:
    remove_in(process, directory)
    while guards and process == this_process():
        guards.pop().discard()
