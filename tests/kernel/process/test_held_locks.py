"""A lock is given back whatever a signal handler raises, where `with lock` of Python 3.14 may not do so."""

import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

import pytest

from ramet._core import Held

from ...constants import repeated
from .conftest import HeardError

_ROUNDS = repeated(2000)
_MOST_SECONDS = 40e-6  # the timer runs out while the loop below is at work
_BLOCKS = 1000

Lock: TypeAlias = "threading.Lock | threading.RLock | threading.Condition"


def is_free(lock: Lock) -> bool:
    """Whether another thread can have it."""
    taken: list[bool] = []
    thread = threading.Thread(target=lambda: taken.append(lock.acquire(blocking=False)))
    thread.start()
    thread.join()
    return taken == [True]


def in_each_block(lock: Lock) -> None:
    for _ in range(_BLOCKS):
        with Held(lock) as take:
            take()


@pytest.mark.parametrize("kind", [threading.Lock, threading.RLock, threading.Condition])
def test_a_lock_is_free_after_a_handler_has_raised(handler: None, kind: Callable[[], Lock]) -> None:
    """Wherever it has: as the lock is taken, in the block, or as it is given back."""
    numbers, left = random.Random(3), 0
    for _ in range(_ROUNDS):
        lock = kind()
        with suppress(HeardError):
            signal.setitimer(signal.ITIMER_REAL, numbers.uniform(1e-6, _MOST_SECONDS))
            in_each_block(lock)
        with suppress(HeardError):
            signal.setitimer(signal.ITIMER_REAL, 0)
        # The thread before, which has ended, may hide the signal from Python 3.11 for a while, as it lets
        # go of the interpreter lock: drop_gil() of Python/ceval_gil.h.
        with suppress(HeardError):
            left += not is_free(lock)
    assert left == 0


def test_a_lock_is_given_back_once_and_only_if_it_was_taken() -> None:
    """A block that does not take it leaves it as it is; what the block raises comes out."""
    lock = threading.Lock()
    with lock, Held(lock) as take:
        assert not take(blocking=False)
    with Held(lock) as take:
        pass
    with pytest.raises(HeardError):
        raise_in_block(lock)
    assert not lock.locked()


def raise_in_block(lock: threading.Lock) -> None:
    with Held(lock) as take:
        assert take()
        assert lock.locked()
        raise HeardError


def test_a_lock_that_can_be_taken_again_is_given_back_as_often() -> None:
    """By the one thread that has it."""
    lock = threading.RLock()
    with Held(lock) as take:
        take()
        with Held(lock) as take_again:
            take_again()
        assert not is_free(lock)
    assert is_free(lock)


def test_what_is_no_lock_is_an_error_of_the_block() -> None:
    """As Python says it."""
    with pytest.raises(AttributeError, match="acquire"), Held(3) as take:  # type: ignore[arg-type]
        take()
