"""The thread that looks at children."""

import os
import threading
import time
from itertools import pairwise

import pytest

from ramet._process.watch_thread import WatchThread

from ...constants import SECONDS
from ...copies import forked
from ...waiting import exit_code, until

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_it_looks_when_it_was_asked_to() -> None:
    """Each look says when the next one is due, until it wants no more."""
    watch, seen, over = WatchThread(), list[float](), threading.Event()

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
    first, second, third = (later - earlier for earlier, later in pairwise(moments))
    assert first >= 0.1
    assert second >= 0.05
    assert third >= 0.05


def test_what_is_due_sooner_comes_first() -> None:
    """Whichever was added first."""
    watch, seen, over = WatchThread(), list[str](), threading.Event()

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
    watch, seen = WatchThread(), list[int]()
    watch.remove(watch.add(lambda: seen.append(1), 0.05))
    until(lambda: watch._thread is None)
    assert seen == []
    over = threading.Event()
    watch.add(lambda: over.set(), 0)
    assert over.wait(SECONDS)
    until(lambda: watch._thread is None)


def test_a_look_that_removes_itself() -> None:
    """As one that ends its child."""
    watch, over = WatchThread(), threading.Event()
    number = 0

    def look() -> float:
        watch.remove(number)
        over.set()
        return 0.001

    number = watch.add(look, 0.05)
    assert over.wait(SECONDS)
    until(lambda: watch._thread is None)


def test_a_look_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as errors in threads are, and done again; other children are looked at."""
    told, calls, over = list[str](), list[int](), threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda what: told.append(str(what.exc_value)))
    watch = WatchThread()

    def fail() -> float | None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("no number")
        over.set()
        return None

    other = threading.Event()
    watch.add(fail, 0)
    watch.add(lambda: other.set(), 0.05)
    assert other.wait(SECONDS)
    assert over.wait(SECONDS)
    assert told == ["no number"]
    until(lambda: watch._thread is None)


def test_a_copy_of_the_process_looks_at_its_own() -> None:
    """The children of its original are none of its."""
    watch = WatchThread()
    number = watch.add(lambda: os._exit(3), 30)

    def work() -> None:
        over = threading.Event()
        watch.remove(number)
        watch.add(lambda: over.set(), 0)
        assert over.wait(SECONDS)
        until(lambda: watch._thread is None)

    assert exit_code(forked(work)) == 0
    watch.remove(number)


def test_where_no_thread_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is told, nothing is added, and the next look has a thread again."""
    watch = WatchThread()

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        for make in (watch.have_thread, lambda: watch.add(lambda: None, 0)):
            with pytest.raises(BlockingIOError, match=r"no thread .*: can't start new thread"):
                make()
    assert not watch._due
    over = threading.Event()
    watch.add(lambda: over.set(), 0)
    assert over.wait(SECONDS)
    until(lambda: watch._thread is None)


def test_a_thread_that_is_made_ahead_is_there_for_a_while() -> None:
    """As long as an idle one waits for work."""
    watch, seen = WatchThread(), list[threading.Thread]()
    watch.have_thread()
    made = watch._thread
    watch.add(lambda: seen.append(threading.current_thread()), 0.1)
    until(lambda: watch._thread is None)
    assert seen == [made]


def test_what_is_due_soon_after_another_comes_with_it() -> None:
    """The thread wakes once for both, and not before the first of them is due."""
    watch = WatchThread()
    watch._due = {1: (10.0, lambda: None), 2: (10.004, lambda: None), 3: (10.1, lambda: None)}
    assert watch._due_by(9.999) == []
    assert [number for number, _ in watch._due_by(10.0)] == [1, 2]
