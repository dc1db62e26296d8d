"""A process that outlives its caller: it removes the layers of calls whose caller was killed."""

import os
import select
import signal

from ... import _core
from ..._sandbox.overlay.tree_removal import remove_own_tree
from ..._setup.descriptor_moves import LAST_DESCRIPTOR

_NAME = b"ramet-layers"
_IGNORED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGTERM,
)  # of those that end a whole group or service
_FIRST_FREE = 4


def remove_after(caller: int, directory: str) -> int:
    """Wait until the process has ended, which is this one's parent, and remove the directory.

    It is in a session of its own and has no descriptor of the caller's, which may be waited for by others.
    Returns the exit code.
    """
    os.setsid()
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    with open("/proc/thread-self/comm", "wb", 0) as comm:
        comm.write(_NAME)
    _wait_for_end_of(caller)
    remove_own_tree(directory)
    return 0


def _wait_for_end_of(parent: int) -> None:
    """Keep no other descriptor meanwhile."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(_FIRST_FREE):
        if number != nothing:
            os.dup2(nothing, number)
    _core.do_steps(_core.Plan([("CLOSE_RANGE", _FIRST_FREE, LAST_DESCRIPTOR)]))
    try:
        os.dup2(os.pidfd_open(parent), _FIRST_FREE - 1)
    except ProcessLookupError:
        return
    if os.getppid() == parent:  # else it ended before, and the number may be another's
        select.select([_FIRST_FREE - 1], [], [])
