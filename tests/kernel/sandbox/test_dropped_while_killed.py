"""The last handle of a child goes while the thread that keeps amounts kills it."""

import threading
import warnings
from pathlib import Path

import pytest

import ramet
from ramet import Sandbox
from ramet._process.child import Child
from ramet._sandbox import supervision
from ramet._sandbox.amounts.place import Place, Watched

from ...constants import SECONDS
from ...waiting import until
from .taken_away import needs_all


@needs_all
def test_the_last_handle_goes_while_its_child_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """For its timeout, by the thread that keeps amounts, which prints no traceback."""
    failures: list[threading.ExceptHookArgs] = []
    is_killing, may_kill, is_over = threading.Event(), threading.Event(), threading.Event()
    kill, exceed = supervision._kill_confined, Place._exceed

    def kill_later(child: Child[object]) -> None:
        is_killing.set()
        may_kill.wait(SECONDS)
        kill(child)

    def exceed_to_the_end(place: Place, amount: str) -> None:
        try:
            exceed(place, amount)
        finally:
            is_over.set()

    monkeypatch.setattr(threading, "excepthook", failures.append)
    monkeypatch.setattr(supervision, "_kill_confined", kill_later)
    monkeypatch.setattr(Place, "_exceed", exceed_to_the_end)
    child = ramet.clone(threading.Event().wait, sandbox=Sandbox(timeout=0.01))
    pid = child.pid
    assert is_killing.wait(SECONDS)
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        del child
        may_kill.set()
        assert is_over.wait(SECONDS)
        until(lambda: ramet_has_reaped(pid))
    assert failures == []


def ramet_has_reaped(pid: int) -> bool:
    """What the next call of the library does."""
    ramet.run(["true"])
    return not Path(f"/proc/{pid}").exists()


def test_a_place_that_is_closed_by_its_kill() -> None:
    """Nothing is looked at any more."""
    given_back: list[object] = []
    watched = Watched(timeout=0.0, cpu_time=1.0)
    place = Place([], given_back.append, watched, rlimits={}, affinity=None, clones_into=False)
    with ramet.clone(threading.Event().wait) as child:
        assert child.pidfd is not None
        place.begin(child.pid, child.pidfd, place.close)
        assert place._number is None
