"""Existing namespaces that a child joins, and the descriptors that stand for them."""

import os
from typing import Any

from .kernel_names import NAMESPACES
from .options import Checked, descriptor_of

_NO_DESCRIPTOR = -1


class Descriptors:
    """Descriptors that are open for as long as this lives."""

    def __init__(self) -> None:
        self._open: list[int] = []
        self._maker = os.getpid()

    def hold(self, descriptor: int) -> int:
        """Take it over."""
        self._open.append(descriptor)
        return descriptor

    def __del__(self) -> None:
        if self._maker != os.getpid():  # a child in shared memory made it, in a table of its own
            return
        for descriptor in self._open:
            os.close(descriptor)


def joined_namespaces(said: Checked, held: Descriptors) -> tuple[list[tuple[str, int, int]], int]:
    """What the child joins, in an order that works, and what its maker must enter before."""
    joined, pid_namespace = [], _NO_DESCRIPTOR
    sources = said.get("namespaces", {})
    for name, flag in NAMESPACES.items():
        if name not in sources:
            continue
        descriptor = _namespace(name, sources[name], held)
        if name == "pid":
            pid_namespace = descriptor  # a task never changes its own: only its children are in it
        else:
            joined.append((f"setns({name})", descriptor, flag))
    return joined, pid_namespace


def _namespace(name: str, source: Any, held: Descriptors) -> int:
    if isinstance(source, int):
        try:
            return held.hold(os.pidfd_open(source))
        except OSError as error:
            raise type(error)(error.errno, f"namespaces[{name!r}]: no process {source}") from None
    if isinstance(source, str | os.PathLike):
        return held.hold(os.open(source, os.O_RDONLY | os.O_CLOEXEC))
    return descriptor_of(f"namespaces[{name!r}]", source)
