"""Looks at calls, by the thread that all children have."""

import threading
from typing import Any, cast

import pytest

from ramet._process.watch_thread import watch_thread
from ramet._workers.template.watching import watch_call

from ...constants import SECONDS
from ...waiting import until


class Looks:
    """At what is there until a look has come to its end."""

    def __init__(self, *, waits: bool) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        if not waits:
            self.may_end.set()

    def look(self, _: object) -> bool:
        self.has_begun.set()
        return self.may_end.wait(2 * SECONDS)


def test_a_call_is_watched_while_the_tree_of_another_is_ended() -> None:
    """That takes a while, and nobody who begins a call waits for it."""
    slow, quick = Looks(waits=True), Looks(waits=False)
    children = cast(Any, [threading.Event() for _ in range(2)])  # whatever they are
    watch_call(slow, children[0])
    assert slow.has_begun.wait(SECONDS)
    added = threading.Thread(target=watch_call, args=(quick, children[1]))
    added.start()
    added.join(SECONDS)
    assert not added.is_alive()
    slow.may_end.set()
    assert quick.has_begun.wait(SECONDS)
    until(lambda: watch_thread._thread is None)


def test_a_call_that_cannot_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """For want of a descriptor, say: that is told, and other calls are looked at."""
    told = list[str]()
    monkeypatch.setattr(threading, "excepthook", lambda what: told.append(str(what.exc_value)))

    class Failing(Looks):
        def look(self, _: object) -> bool:
            if not self.has_begun.is_set():
                self.has_begun.set()
                raise OSError("no descriptor is free")
            return True

    failing, other = Failing(waits=False), Looks(waits=False)
    children = cast(Any, [threading.Event() for _ in range(2)])
    watch_call(failing, children[0])
    assert failing.has_begun.wait(SECONDS)
    thread = watch_thread._thread
    watch_call(other, children[1])
    assert other.has_begun.wait(SECONDS)
    assert watch_thread._thread is thread
    assert told == ["no descriptor is free"]
    until(lambda: watch_thread._thread is None)


def test_a_call_whose_handle_is_gone() -> None:
    """It is looked at no more."""

    class Endless(Looks):
        def look(self, _: object) -> bool:
            self.has_begun.set()
            return False

    looks, child = Endless(waits=False), threading.Event()
    watch_call(looks, cast(Any, child))
    assert looks.has_begun.wait(SECONDS)
    del child
    until(lambda: watch_thread._thread is None)
