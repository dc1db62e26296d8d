"""Confinements that were used last, by their descriptions."""

import threading
from collections import OrderedDict
from typing import Any, TypeVar, cast

from .confinement import Confinement
from .description import Sandbox

C = TypeVar("C", bound=Confinement)

_MOST_KEPT = 16  # each with four descriptors, and a cgroup or a few
_kept: OrderedDict[tuple[type[Any], Sandbox], Confinement] = OrderedDict()
_lock = threading.Lock()


def confinement_of(kind: type[C], sandbox: Sandbox) -> C:
    """The confinement of that kind of a description, for one whose amounts are this process's to keep.

    Raises SandboxError for a wish that this machine cannot meet, and for a path that cannot be used.
    """
    with _lock:
        found = _kept.pop((kind, sandbox), None)
        if found is None or not found.amounts.is_ours:
            found = kind(sandbox)
            while len(_kept) >= _MOST_KEPT:
                _kept.popitem(last=False)
        _kept[kind, sandbox] = found
        return cast(C, found)
