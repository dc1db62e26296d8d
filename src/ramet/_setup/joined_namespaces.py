"""Existing namespaces that a child joins."""

import errno
import os
from typing import Any

from .._kernel.descriptors import Descriptors
from .._kernel.names import NAMESPACES
from .._kernel.signal_handlers import is_from_handler
from .checks import descriptor_of
from .validate import ValidatedOptions

_NO_DESCRIPTOR = -1


def joined_namespaces(
    validated: ValidatedOptions, held: Descriptors
) -> tuple[list[tuple[str, int, int]], int]:
    """What the child joins, in an order that works, and the pid namespace that its parent enters first."""
    joined, pid_namespace = [], _NO_DESCRIPTOR
    sources = validated.get("namespaces", {})
    for name, flag in NAMESPACES.items():
        if name not in sources:
            continue
        descriptor = _namespace(name, sources[name], held)
        if name == "pid":
            # A task never changes its own, only that of its later children.
            pid_namespace = descriptor
        else:
            joined.append((f"setns({name})", descriptor, flag))
    return joined, pid_namespace


def _namespace(name: str, source: Any, held: Descriptors) -> int:
    if isinstance(source, int):
        try:
            return held.open(os.pidfd_open, source)
        except OSError as error:
            if is_from_handler(error):
                raise
            is_none = error.errno in {errno.ESRCH, errno.EINVAL}
            why = f"no process {source}" if is_none else error.strerror
            raise type(error)(error.errno, f"namespaces[{name!r}]: {why}") from None
    if isinstance(source, str | os.PathLike):
        return held.open(os.open, source, os.O_RDONLY | os.O_CLOEXEC)
    return descriptor_of(f"namespaces[{name!r}]", source)
