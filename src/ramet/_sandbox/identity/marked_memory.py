"""What fails while a launch of another thread changes its ids.

The kernel marks the memory then, and the files in /proc of all tasks that share it are root's, until the
mark is taken away again, which is after a few system calls: native/parent/dumpable.h.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from ..._kernel.timeouts import pauses

T = TypeVar("T")

_MORE_TRIES = 6  # within 32 ms


def tried_again(attempt: Callable[[], T]) -> T:
    """Attempt what writes or opens one file of a task that shares this memory; again where it may not."""
    for pause in moments():
        try:
            return attempt()
        except PermissionError:
            time.sleep(pause)
    return attempt()


def moments() -> Iterator[float]:
    """The seconds to wait before each further attempt."""
    return itertools.islice(pauses(), _MORE_TRIES)
