"""Calls that end in each way in which a call can end badly, and what their callers must be told."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import ramet

from .constants import SLOWER
from .waiting import until

DEADLINE_SECONDS = 3.0 * SLOWER  # a loaded machine needs a while for what ends by itself
MEMORY = "64M"
FAR_BEYOND = 300 << 20
NUMBER_OF_GRANDCHILDREN = 3


# ---- the calls; each holds a fifo open for as long as it lives, and whatever it has started


def crash(fifo: str) -> None:
    """Die of what a bad pointer leads to."""
    _hold(fifo)
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(fifo: str) -> None:
    """Never return."""
    _hold(fifo)
    while True:
        time.sleep(1000)


def devour(fifo: str) -> int:
    """Write to far more memory than there is for a call."""
    _hold(fifo)
    pages = [bytearray(b"\1" * (1 << 20)) for _ in range(FAR_BEYOND >> 20)]
    return len(pages)


def leave_grandchildren(fifo: str) -> str:
    """Return while processes that it has started hang: one in its own session, one deaf to requests."""
    _hold(fifo)
    for number in range(NUMBER_OF_GRANDCHILDREN):
        if os.fork() == 0:
            if number == 1:
                os.setsid()
                os.fork()
            if number == 2:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(1000)
    return "returned"


def return_a_lock(fifo: str) -> object:
    """Return what no pickle can hold."""
    _hold(fifo)
    return threading.Lock()


def _hold(fifo: str) -> None:
    os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)


# ---- what is told


def _crashed(told: Future[Any]) -> bool:
    error = told.exception()
    return isinstance(error, ramet.ChildDied) and error.status.signal is signal.SIGSEGV


def _timed_out(told: Future[Any]) -> bool:
    error = told.exception()
    return isinstance(error, ramet.DeadlineExceeded) and error.status.reason == "deadline"


def _out_of_memory(told: Future[Any]) -> bool:
    error = told.exception()
    if isinstance(error, ramet.ChildDied):
        return error.status.reason == "out of memory"
    return isinstance(error, MemoryError)


def _returned(told: Future[Any]) -> bool:
    return told.exception() is None and told.result() == "returned"


def _not_sent(told: Future[Any]) -> bool:
    error = told.exception()
    return isinstance(error, ramet.ResultError) and "lock" in str(error)


CALLS: dict[Callable[[str], object], Callable[[Future[Any]], bool]] = {
    crash: _crashed,
    hang: _timed_out,
    devour: _out_of_memory,
    leave_grandchildren: _returned,
    return_a_lock: _not_sent,
}


def run_mixed(executor: Executor, count: int, fifo: str) -> list[str]:
    """Make so many, in turn; what was not told as it must be."""
    calls = list(CALLS)
    futures = [(fn, executor.submit(fn, fifo)) for fn in (calls * count)[:count]]
    return [
        f"{fn.__name__}: {future.exception()!r}" for fn, future in futures if not CALLS[fn](future)
    ]


@contextlib.contextmanager
def nobody_holds(place: Path) -> Iterator[str]:
    """A new fifo for calls to hold; in the end none of their processes may be left."""
    fifo = str(place / "held-by-calls")
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield fifo
        until(lambda: _no_writer(reading))
    finally:
        os.close(reading)


def _no_writer(reading: int) -> bool:
    try:
        return os.read(reading, 1) == b""
    except BlockingIOError:  # somebody has it open
        return False
