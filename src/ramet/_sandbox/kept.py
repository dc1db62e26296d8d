"""Confinements that were used last, by their descriptions."""

import threading
from collections import OrderedDict

from .confinement import Confinement
from .description import Sandbox

_MOST_KEPT = 16  # each with four descriptors, and a cgroup or a few
_kept: OrderedDict[Sandbox, Confinement] = OrderedDict()
_lock = threading.Lock()


def confinement_of(sandbox: Sandbox) -> Confinement:
    """The confinement of a description, for one whose amounts are this process's to keep.

    Raises SandboxError for a wish that this machine cannot meet, and for a path that cannot be used.
    """
    with _lock:
        found = _kept.pop(sandbox, None)
        if found is None or not found.amounts.is_ours:
            found = Confinement(sandbox)
            while len(_kept) >= _MOST_KEPT:
                _kept.popitem(last=False)
        _kept[sandbox] = found
        return found
