"""The tasks that use this process's memory, as long as they do."""

import atexit
import contextlib
import os
import time
from typing import NamedTuple

from .. import _core
from .._core import SharedTask
from .._kernel.clone_bits import THREAD

_PAUSE_SECONDS = 0.001


class Sharer(NamedTuple):
    """What is to be known of a task that uses this process's memory."""

    maker: int
    is_thread: bool


# Whoever holds their handles.
_sharers: dict[SharedTask, Sharer] = {}


def remember(task: SharedTask, flags: int) -> None:
    """Keep it until it is over: forget() lets it go, or this does, at each power of two."""
    if len(_sharers) & (len(_sharers) - 1) == 0:
        for other in [other for other in list(_sharers) if other.done]:
            forget(other)
    _sharers[task] = Sharer(os.getpid(), bool(flags & THREAD))


def forget(task: SharedTask) -> None:
    """It is over."""
    _sharers.pop(task, None)


@atexit.register
def _end_sharers() -> None:
    """No task may use the memory of an interpreter that ends: kill them, and wait for threads.

    A thread cannot be killed alone; that the exit waits for it is what threading does, too.
    """
    if _core.close():
        time.sleep(_PAUSE_SECONDS)  # one that was just made is remembered by now
    me = os.getpid()
    for task, sharer in list(_sharers.items()):
        if sharer.maker != me or task.done:
            continue
        if not sharer.is_thread:
            with contextlib.suppress(PermissionError):  # it has other rights, and we have not
                task.kill(-1)
        task.wait(None)
    _core.drain()


os.register_at_fork(before=_core.before_fork)
