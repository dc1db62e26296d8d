import signal
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ramet.cli import tree_watch
from ramet.cli.tree_changes import Change
from ramet.cli.tree_displays import Display
from ramet.cli.tree_lines import View
from ramet.observe import Tree


class Looks:
    """A view of no tasks, of which each look takes so much of a processor's time."""

    pid = None

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0.0

    def look(self) -> Tree:
        self.now += self.seconds
        return Tree(())


class Nowhere(Display):
    """A display that counts."""

    def __init__(self) -> None:
        self.shown = 0

    def show(self, seen: Tree, new: list[Change]) -> None:
        assert (seen.tasks, new) == ((), [])
        self.shown += 1


@pytest.mark.parametrize(("used", "expected"), [(0.01, 1.0), (0.5, 5.0)], ids=["few", "many"])
def test_looking_takes_a_tenth_of_a_processor(
    used: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It pauses for as long as it is asked to, or for ten times what a look took."""
    looks, display, pauses = Looks(used), Nowhere(), []
    told: list[Any] = [None, None, SimpleNamespace(si_signo=signal.SIGINT)]

    def wait(awaited: set[int], pause: float) -> Any:
        pauses.append(pause)
        return told.pop(0)

    monkeypatch.setattr(signal, "sigtimedwait", wait)
    monkeypatch.setattr(time, "thread_time", lambda: looks.now)
    ended_by = tree_watch._watch(cast(View, looks), 1.0, display, {signal.SIGINT})
    assert ended_by == signal.SIGINT
    assert pauses == pytest.approx([expected] * 3)
    assert display.shown == 3
