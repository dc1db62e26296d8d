"""The tasks that share this process's memory: listed, and ended with the interpreter."""

import atexit
import contextlib
import os
from typing import NamedTuple

from .. import _core
from .._core import SharedTask
from .._kernel.clone_bits import THREAD


class Sharer(NamedTuple):
    """Who made such a task, and of which kind it is."""

    maker: int
    is_thread: bool


# Also those whose handles are gone.
_sharers: dict[SharedTask, Sharer] = {}


def add_sharer(task: SharedTask, flags: int) -> None:
    """List it until remove_sharer(); at each power of two this removes those that have ended.

    The extension calls it before the clone call returns, so that none is missed at the end.
    """
    if len(_sharers) & (len(_sharers) - 1) == 0:
        for other in [other for other in list(_sharers) if other.done]:
            remove_sharer(other)
    _sharers[task] = Sharer(os.getpid(), bool(flags & THREAD))


def remove_sharer(task: SharedTask) -> None:
    """It has ended."""
    _sharers.pop(task, None)


@atexit.register
def _end_sharers() -> None:
    """Kill them, and wait for threads: the interpreter is about to free the memory that they use.

    A thread cannot be killed alone; the exit waits for it, as it does for threads of threading.
    """
    _core.close()
    me = os.getpid()
    for task, sharer in list(_sharers.items()):
        if sharer.maker != me or task.done:
            continue
        if not sharer.is_thread:
            with contextlib.suppress(PermissionError):  # it has another user by now
                task.kill(-1)
        task.wait(None)
    _core.drain()


os.register_at_fork(before=_core.before_fork)
