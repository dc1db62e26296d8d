"""The layers of a sandbox's children, each of its own, in one directory."""

import weakref
from typing import Protocol

from ..description import Sandbox
from .layer import Layer, parts_of
from .layer_directory import LayerDirectory, this_process

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
        self._directory = LayerDirectory([part.target for part in self.parts])
        self._paths = sandbox.write
        self._guards: list[Guard] = []
        self._end = weakref.finalize(self, _end, this_process(), self._directory, self._guards)

    @property
    def directory(self) -> str:
        """Its path."""
        return self._directory.path

    def new(self) -> Layer:
        """One for a child that sees the paths as they are now."""
        return Layer.below(self._directory, parts_of(self._paths), self)

    def new_as_before(self) -> Layer:
        """One for a child that sees them as they were when this object was made."""
        return Layer.below(self._directory, self.parts, self)

    @property
    def is_guarded(self) -> bool:
        """Whether guard() was called."""
        return bool(self._guards)

    def guard(self, guard: Guard) -> None:
        """Let it end with the directory."""
        self._guards.append(guard)


def _end(process: tuple[int, str], directory: LayerDirectory, guards: list[Guard]) -> None:
    directory.close()
    while guards and process == this_process():
        guards.pop().discard()
