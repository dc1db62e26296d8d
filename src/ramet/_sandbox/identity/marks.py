"""Marks by which a process is known to come from a sandbox: hard limits, inherited and only lowered.

The limit is RLIMIT_RTTIME, which concerns realtime tasks alone. Source: getrlimit(2).
"""

import random
import resource
import struct
from collections.abc import Container
from contextlib import suppress

from ..._kernel import procfs
from ..._setup.order import Steps

_RTTIME = resource.RLIMIT_RTTIME
_RLIMIT = struct.Struct("=2Q")
_HIGHEST = 1 << 52  # in us: more than a hundred years
_FEWEST = 1 << 8


def can_mark() -> bool:
    """Whether this process's own limit leaves marks to choose from."""
    return _highest() > _FEWEST


def new_mark() -> int:
    """One that no other child has, by chance."""
    highest = _highest()
    return random.SystemRandom().randrange(highest // 2, highest)


def add_mark(steps: Steps, mark: int) -> None:
    """The step by which a child marks itself, and with it all that it will start."""
    limit = bytearray(_RLIMIT.pack(mark, mark))
    steps.add("setrlimit(RTTIME)", "PRLIMIT", 0, _RTTIME, limit, 0)


def is_of(pid: int, mark: int, others: Container[int]) -> bool:
    """Whether a process has this mark, or was marked and has lowered its own to none of the others.

    The child of a caller who has lowered the limit is none from a sandbox, unless it has no_new_privs, too.
    """
    try:
        found = resource.prlimit(pid, _RTTIME)[1]
    except OSError:  # it has been reaped, or is another user's
        return False
    if found == mark:
        return True
    if found in others or not 0 <= found < _highest():
        return False
    with suppress(OSError):
        return procfs.status(pid).get("NoNewPrivs") == "1"
    return False


def _highest() -> int:
    own = resource.getrlimit(_RTTIME)[1]
    return _HIGHEST if own == resource.RLIM_INFINITY else min(own, _HIGHEST)
