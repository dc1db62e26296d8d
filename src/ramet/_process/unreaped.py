"""Children whose handles were dropped before a wait: they are reaped when they have ended."""

import errno
import os
from typing import Protocol

from .. import _core
from .._kernel.descriptors import Descriptors
from .._kernel.names import WALL
from .._kernel.pidfd import exists
from .._kernel.signal_handlers import is_from_handler
from .memory_sharers import remove_sharer


class Unreaped:
    """What is left to do for such a child."""

    def __init__(
        self,
        owner: int,
        pid: int,
        pidfd: int | None,
        task: _core.SharedTask | None,
        held: Descriptors | None,
        *,
        is_thread: bool,
    ) -> None:
        self.owner = owner
        self._pid = pid
        self._pidfd = pidfd
        self._task = task
        self._held = held
        self._is_reaped = is_thread

    def finish(self) -> bool:
        """Reap it if it has ended; returns whether nothing is left to do."""
        self._is_reaped = self._is_reaped or self._reap()
        if not self._is_reaped:
            return False
        if self._task is not None:
            if not self._task.done:  # a running thread, or a host thread that still cleans up
                return False
            remove_sharer(self._task)
        if self._held is not None:
            self._held.close()
        descriptor, self._pidfd = self._pidfd, None
        if descriptor is not None:
            os.close(descriptor)
        return True

    def _reap(self) -> bool:
        try:
            if self._waitid(os.P_PID, self._pid, os.WNOWAIT) is None:
                return False
            if self._pidfd is not None and not self._has_its_pidfd(self._pidfd):
                self._pidfd = None
            if self._pidfd is None:
                return self._waitid(os.P_PID, self._pid) is not None
            return self._waitid(os.P_PIDFD, self._pidfd) is not None
        except ChildProcessError:
            return True
        except OSError as error:
            if is_from_handler(error):
                raise
            return False

    def _has_its_pidfd(self, number: int) -> bool:
        """Whether this thread's descriptor table, too, has the child's pidfd under that number.

        A thread that called unshare(FILES) has a table of its own, in which it opened the pidfd. In
        ours the number may be another file, which must stay open.
        """
        try:
            ended = self._waitid(os.P_PIDFD, number, os.WNOWAIT)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            return False
        return ended is not None and ended[0] == self._pid

    def _waitid(
        self, kind: int, number: int, option: int = 0
    ) -> tuple[int, int, int, bytes] | None:
        return _core.waitid(kind, number, option | os.WEXITED | os.WNOHANG | WALL)


class Left(Protocol):
    """Whom nobody waits for: a child, or the init of a namespace. owner: the process whose child it is."""

    owner: int

    def finish(self) -> bool:
        """Reap it if it has ended; returns whether nothing is left to do."""


unreaped: list[Left] = []


def reap_ended() -> None:
    """Reap those that have ended. Source: waitid(2)."""
    me = os.getpid()
    # One task takes an entry at a time: a child in shared memory sees the same list.
    for _ in range(len(unreaped)):
        try:
            child = unreaped.pop(0)
        except IndexError:
            return
        stays = True  # also where a signal handler raises
        try:
            # The end of its owner closed the descriptor and reparented the child.
            stays = exists(child.owner) if child.owner != me else not child.finish()
        finally:
            if stays:
                unreaped.append(child)
