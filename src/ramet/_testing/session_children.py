"""The children of the session's process: its own, and what tests whose clones died have left."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .._process.tree.subreaper import Subreaper
from .left_processes import Process, shown

_KILL_SECONDS = 10.0


class SessionChildren:
    """Tells them apart: the session's process is a subreaper while it runs clones.

    What a clone leaves at its death is reparented to it. All other children are made while the session
    itself sets up or tears down what tests share, or while no clone runs. A process that is reparented
    in the middle of such a setup is taken for the session's own: the kernel does not record where it
    came from.
    """

    def __init__(self) -> None:
        self._reparented = Subreaper()
        self._reparented.__enter__()

    @contextmanager
    def made_by_session(self) -> Iterator[None]:
        """Children that are made in this block are the session's own."""
        try:
            yield
        finally:
            self.keep_all()

    def keep_all(self) -> None:
        """All that there are now are the session's own."""
        for pid in self._reparented.pids():
            self._reparented.spare(pid)

    def end_left(self) -> list[Process]:
        """Kill what a clone has left at its death, and return it."""
        left = [shown(pid) for pid in self._reparented.pids()]
        self._reparented.kill(_KILL_SECONDS)
        return [process for process in left if process.command]  # a zombie has none

    def reap_ended(self) -> None:
        """Reap what was reparented, a server of multiprocessing, and has ended by itself."""
        for pid in self._reparented.pids():
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def close(self) -> None:
        """Be what the process was before: a subreaper, or none."""
        self._reparented.__exit__()
