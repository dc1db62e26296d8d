"""The thread that looks at children."""

import os
import threading
import time

import pytest

from ramet._sandbox.watch import Watch

from ...constants import SECONDS
from ...copies import forked
from ...waiting import exit_code, until

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_it_looks_when_it_was_asked_to() -> None:
    """Each look says when the next one is due, until it wants no more."""
    watch, seen, over = Watch(), list[float](), threading.Event()

    def look() -> float | None:
        seen.append(time.monotonic())
        if len(seen) < 3:
            return 0.05
        over.set()
        return None

    began = time.monotonic()
    watch.add(look, 0.1)
    assert over.wait(SECONDS)
    moments = [began, *seen]
    pauses = [later - earlier for earlier, later in zip(moments, moments[1:], strict=False)]
    assert [pause >= least for pause, least in zip(pauses, (0.1, 0.05, 0.05), strict=True)] == [
        True,
        True,
        True,
    ]


def test_what_is_due_sooner_comes_first() -> None:
    """Whichever was added first."""
    watch, seen, over = Watch(), list[str](), threading.Event()

    def look(name: str) -> None:
        seen.append(name)
        if len(seen) == 2:
            over.set()

    watch.add(lambda: look("late"), 0.3)
    watch.add(lambda: look("soon"), 0.01)
    assert over.wait(SECONDS)
    assert seen == ["soon", "late"]


def test_what_was_removed_is_not_looked_at() -> None:
    """The thread ends when there is nothing else, and a later child has another."""
    watch, seen = Watch(), list[int]()
    watch.remove(watch.add(lambda: seen.append(1), 0.05))
    until(lambda: watch._thread is None)
    assert seen == []
    over = threading.Event()
    watch.add(lambda: over.set(), 0)
    assert over.wait(SECONDS)
    until(lambda: watch._thread is None)


def test_a_look_that_removes_itself() -> None:
    """As one that ends its child."""
    watch, over = Watch(), threading.Event()
    number = 0

    def look() -> float:
        watch.remove(number)
        over.set()
        return 0.001

    number = watch.add(look, 0.05)
    assert over.wait(SECONDS)
    until(lambda: watch._thread is None)


def test_a_copy_of_the_process_looks_at_its_own() -> None:
    """The children of its original are none of its."""
    watch = Watch()
    number = watch.add(lambda: os._exit(3), 30)

    def work() -> None:
        over = threading.Event()
        watch.remove(number)
        watch.add(lambda: over.set(), 0)
        assert over.wait(SECONDS)
        until(lambda: watch._thread is None)

    assert exit_code(forked(work)) == 0
    watch.remove(number)
