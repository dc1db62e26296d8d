import threading
from typing import Any, cast

from ramet._workers.template.watching import Watcher

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
    watcher, slow, quick = Watcher(), Looks(waits=True), Looks(waits=False)
    children = cast(Any, [threading.Event() for _ in range(2)])  # whatever they are
    watcher.add(slow, children[0])
    assert slow.has_begun.wait(SECONDS)
    added = threading.Thread(target=watcher.add, args=(quick, children[1]))
    added.start()
    added.join(SECONDS)
    assert not added.is_alive()
    slow.may_end.set()
    assert quick.has_begun.wait(SECONDS)
    until(lambda: watcher._thread is None)
