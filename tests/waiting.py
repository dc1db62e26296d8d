"""How a test waits: for an event, and where the kernel has none for it, by looking again.

Nothing here sleeps so that something else may happen meanwhile. Two kinds of sleep are not for waiting:
``sleep(1000)``, which stands for what hangs until it is killed, and ``a_random_moment()``, which
chooses when something is killed; tests/contract/test_no_sleep.py knows no other.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from .constants import SECONDS, WALL


def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Come back when it holds; for what no event tells of."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        os.sched_yield()


def a_random_moment(numbers: random.Random, most_seconds: float) -> None:
    """Let a while pass that nobody can foresee."""
    time.sleep(numbers.random() * most_seconds)


def state_of(task: object) -> str:
    """The letter of /proc/TASK/stat: S sleeps, T is stopped, Z is a zombie."""
    return Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()[0]


def exit_code(pid: int, options: int = WALL) -> int:
    """Wait for a child; what it ended with, or minus its signal."""
    reaped, status = os.waitpid(pid, options)
    assert reaped == pid
    return os.waitstatus_to_exitcode(status)
