"""How a test waits: for an event, and where the kernel has none for it, by looking again.

Nothing here sleeps so that something else may happen meanwhile. Two kinds of sleep are not for waiting:
``sleep(1000)``, which stands for what hangs until it is killed, and ``a_random_moment()``, which
chooses when something is killed; tests/contract/test_no_sleep.py knows no other.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ramet._process.unreaped import reap_ended, unreaped

from .constants import SECONDS, WALL


def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Come back when it holds; for what no event tells of."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        os.sched_yield()


def nothing_unreaped() -> bool:
    """Whether all children whose handles were dropped have ended, and are reaped."""
    reap_ended()
    return not unreaped


def a_random_moment(numbers: random.Random, most_seconds: float) -> None:
    """Let a while pass that nobody can foresee."""
    time.sleep(numbers.random() * most_seconds)


@contextmanager
def alarm(seconds: float, raised: type[BaseException] = InterruptedError) -> Iterator[None]:
    """Have that raised by the handler of a signal that comes by then."""

    def handler(*_: object) -> None:
        raise raised

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def in_threads(count: int, fn: Callable[[], object]) -> None:
    """Run it in so many threads at a time; raises what the first of them that fails raised."""
    all_here = threading.Barrier(count)

    def run() -> None:
        all_here.wait(SECONDS)
        fn()

    with ThreadPoolExecutor(count) as threads:
        for done in [threads.submit(run) for _ in range(count)]:
            done.result()


def exit_code(pid: int, options: int = WALL) -> int:
    """Wait for a child; what it ended with, or minus its signal."""
    reaped, status = os.waitpid(pid, options)
    assert reaped == pid
    return os.waitstatus_to_exitcode(status)
