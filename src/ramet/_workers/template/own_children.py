"""Whether a process is a child of this one, by its pidfd, and how such a child is ended."""

import os
import signal
from contextlib import suppress

from ..._core import waitid
from ..._kernel import pidfd as pidfds
from ..._kernel.names import WALL
from ..._kernel.pidfd import pids_of


def has_child(pidfd: int) -> bool:
    """Whether its process is a child that has not been reaped."""
    try:
        waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT | WALL)
    except OSError:
        return False
    return True


def is_child(pid: int, pidfd: int) -> bool:
    """Whether its process is a child that has not been reaped, and has this pid."""
    try:
        return has_child(pidfd) and pids_of(pidfd) == [pid]
    except OSError:
        return False


def kill(pidfd: int) -> None:
    """Kill the process of a pidfd; one that has ended already is left alone."""
    with suppress(ProcessLookupError):
        pidfds.send(pidfd, None, signal.SIGKILL)


def reap(pidfd: int) -> None:
    """Wait for its end; one that was reaped already is left alone."""
    with suppress(ChildProcessError):
        waitid(os.P_PIDFD, pidfd, os.WEXITED | WALL)


def kill_and_reap(pid: int) -> None:
    """Kill a child by its pid, and wait for its end; a pid that is no child's is left alone."""
    with suppress(ProcessLookupError, ChildProcessError):
        waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT | WALL)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, WALL)
