"""A mount namespace with next to nothing in it, in copies of which the roots of sandboxes are built.

A copy of the caller's would take as long as the caller has mounts: a host of containers has a thousand.
"""

import os
import weakref

from ..._kernel.clone_bits import NEWNS
from ..._kernel.descriptors import Descriptors
from ..planning.machine import Machine, this_machine
from ..planning.waiting_child import kept_namespaces
from .root import add_bare


class BareMounts:
    """It is kept as long as this object is; ``number``: its descriptor."""

    def __init__(self) -> None:
        self._held = Descriptors()
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
