"""The binding of a clone to its caller: that it dies with it, and how the caller sees from when on.

Who stops a process, and ends before it has killed it, leaves it stopped for ever, unless it dies with its
parent. A clone does after its first steps (PR_SET_PDEATHSIG, which no parent can set for a child). Until
then it has a mark from its template, a signal that is blocked, and its caller stops none that has it.
"""

import fcntl
import os
import signal
import time

from ... import _core
from ..._kernel import procfs
from ..._kernel.names import HasFileno
from ..._kernel.timeouts import pauses
from ..._process.tree.own_tree import has_handler

__all__ = ["TO_BIND", "Hangup", "bind", "mark", "to_bind", "unmark", "wait_until_bound"]

_PR_SET_PDEATHSIG = 1
_MARK = signal.SIGRTMAX
_BIT = 1 << (_MARK - 1)
_PATIENCE_SECONDS = 0.1  # a function may block the signal for itself

_DIE = ("PRCTL", _PR_SET_PDEATHSIG, signal.SIGKILL)
TO_BIND = _core.Plan([_DIE])


def mark() -> int:
    """Have the mark, as all clones do that are made from here on. Returns the mask of before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {_MARK})
    return sum(1 << (number - 1) for number in before)


def unmark(before: int) -> None:
    """Have the mark no more, unless it was there before; other signals stay as they are now."""
    if not before & _BIT:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {_MARK})


def to_bind(before: int) -> list[tuple[object, ...]]:
    """The first steps of a clone: it dies with its parent, and has the mark no more."""
    return [_DIE, ("SIGNAL_MASK", before)]


def bind(steps: _core.Plan, parent: int) -> None:
    """Be bound to that parent, by these steps."""
    _core.do_steps(steps)
    if os.getppid() not in {parent, 0}:  # it has ended before; 0: seen from another pid namespace
        os._exit(1)


class Hangup:
    """Whether this process gets a signal when the other side of a socket is closed, by whatever end.

    For a template whose parent is a thread that may end before its process: PR_SET_PDEATHSIG is about
    that thread. Source: fcntl(2) F_SETSIG, O_ASYNC.
    """

    def __init__(self, socket: HasFileno, number: int) -> None:
        self._socket = socket
        self._number = number

    def kills(self) -> None:
        """From here on it is; and by what comes over the socket, too."""
        fcntl.fcntl(self._socket, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(self._socket, fcntl.F_SETSIG, self._number)
        fcntl.fcntl(self._socket, fcntl.F_SETFL, os.O_ASYNC)

    def spares(self) -> None:
        """From here on it is not."""
        fcntl.fcntl(self._socket, fcntl.F_SETFL, 0)


def wait_until_bound(pid: int) -> None:
    """Wait until a clone has the mark no more, for a tenth of a second at most.

    Where /proc does not show it there is no wait, and no tree that could be stopped.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for pause in pauses():
        try:
            fields = procfs.status(pid)
            # Who ends its own tree is bound by then, and may have blocked the signal for itself.
            is_marked = int(fields["SigBlk"], 16) & _BIT and not has_handler(fields)
        except (OSError, KeyError):
            return
        if not is_marked or time.monotonic() > deadline:
            return
        time.sleep(pause)
