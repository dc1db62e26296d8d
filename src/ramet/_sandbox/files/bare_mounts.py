"""A mount namespace with next to nothing in it, in copies of which the roots of sandboxes are built.

A copy of the caller's would take as long as the caller has mounts: a host of containers has a thousand.
Before Linux 7.1 one such copy is made in a process; since then a namespace can be made without any.
"""

import os
import weakref
from contextlib import suppress

from ..._kernel.clone_bits import EMPTY_MNTNS, NEWNS
from ..._kernel.descriptors import Descriptors
from ..._preflight.this_machine import kernel_is_since
from ...errors import CloneError, SpawnError
from ..planning.machine import Machine, this_machine
from ..planning.waiting_child import kept_namespaces
from .root import add_bare, add_bare_in_empty

_EMPTY_SINCE = "7.1"  # Linux


class BareMounts:
    """It is kept as long as this object is; ``number``: its descriptor."""

    def __init__(self) -> None:
        self._held = Descriptors()
        self.number = -1
        if kernel_is_since(_EMPTY_SINCE):
            # A filter may forbid clone3(). What else keeps it from being made is told by the other way.
            with suppress(CloneError, SpawnError):
                kept_namespaces(EMPTY_MNTNS, ["mnt"], lambda _: None, add_bare_in_empty, self._keep)
        if self.number < 0:
            self._make_of_callers()

    def _make_of_callers(self) -> None:
        kept_namespaces(NEWNS, ["mnt"], lambda _: None, add_bare, self._keep)

    def _keep(self, namespace: str) -> None:
        self.number = self._held.open(os.open, namespace, os.O_RDONLY | os.O_CLOEXEC)


_made: weakref.WeakValueDictionary[Machine, BareMounts] = weakref.WeakValueDictionary()


def bare_mounts() -> BareMounts:
    """The one of this caller, who may mount: the same as long as a sandbox refers to it."""
    machine = this_machine()
    found = _made.get(machine)
    if found is None:
        found = _made[machine] = BareMounts()
    return found
