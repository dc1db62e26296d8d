"""Copies of the process that runs the tests."""

import os
from collections.abc import Callable

import ramet


def forked(work: Callable[[], object], flags: int = 0) -> int:
    """A copy that does that, and then nothing more of pytest's; its exit code is 0, or 1 if it raised."""
    pid = ramet.fork(flags)
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return pid
