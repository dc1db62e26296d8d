"""What ends with a child, in its order: each part is one that notes when it is called."""

import gc
import os
import warnings
from typing import Any

import pytest

import ramet
from ramet import Child, ExitStatus

from ...constants import SECONDS


class HeardError(Exception):
    """What a handler of a signal raises."""


class Part:
    """It notes the call of each of its methods, and whether the child's end was known then."""

    def __init__(self, name: str, child: Child[None], calls: list[str]) -> None:
        self._name, self._pid, self._calls = name, child.pid, calls
        self._of = [child]
        self.interrupted = False

    def _note(self, what: str) -> None:
        known = "known" if self._of and self._of[0].exit_status is not None else "not known"
        self._calls.append(f"{self._name} {what}, {known}")

    def forget(self) -> None:
        """The handle, so that it can be dropped."""
        self._of.clear()

    def has_killed(self, status: ExitStatus | None = None) -> bool:  # noqa: ARG002 - as the cgroup has it
        """Of the deadline thread, and of the cgroup."""
        self._note("asked")
        return False

    def ended(self, status: ExitStatus) -> ExitStatus:
        """Of what watches it."""
        self._note("ended")
        return status.because("watched")

    def ends_later(self, namespace: object) -> bool:  # noqa: ARG002 - as supervision has it
        """Of what watches it."""
        return False

    def gone(self) -> None:
        """Of what watches it."""
        self._note("gone")

    def give_up(self) -> None:
        """Of what watches it."""
        self._note("gives up")

    def close(self) -> None:
        """Of the descriptors."""
        self._note("closed")

    def end(self) -> None:
        """Of the namespace."""
        self._note("ended")
        if self.interrupted:
            raise HeardError

    def leave(self) -> None:
        """Of the namespace."""
        self._note("left")


def with_all_parts(argv: list[str]) -> tuple[Any, list[str], list[Part]]:
    """A child, the list in which its parts note their calls, and those."""
    child: Any = ramet.Command(argv).spawn()
    calls: list[str] = []
    names = ["deadline", "cgroup", "watch", "descriptors", "namespace"]
    parts = [Part(name, child, calls) for name in names]
    belongings = child._own_belongings()
    belongings.deadline_thread, belongings.cgroup, belongings.supervision, belongings.held = parts[
        :4
    ]
    child._namespace = parts[4]
    return child, calls, parts


_REASONS = ["deadline asked, not known", "cgroup asked, not known", "watch ended, not known"]


@pytest.mark.usefixtures("nothing_left")
def test_the_order_of_an_end() -> None:
    """Who knows a reason is asked before the status is kept; what must wait comes last."""
    child, calls, _ = with_all_parts(["true"])
    assert child.wait(SECONDS).reason == "watched"
    last = ["descriptors closed, known", "namespace ended, known", "watch gone, known"]
    assert calls == [*_REASONS, *last]


@pytest.mark.usefixtures("nothing_left")
def test_an_exception_while_its_namespace_ends() -> None:
    """All before is done, the namespace is left to be reaped, and a later wait has the status."""
    child, calls, parts = with_all_parts(["true"])
    parts[4].interrupted = True
    with pytest.raises(HeardError):
        child.wait(SECONDS)
    last = ["descriptors closed, known", "namespace ended, known", "namespace left, known"]
    assert calls == [*_REASONS, *last]
    assert child.exit_status.reason == "watched"


@pytest.mark.usefixtures("nothing_left")
def test_one_that_nobody_waits_for() -> None:
    """Its namespace is left, and it is watched no more; its descriptors are open until it has ended."""
    child, calls, parts = with_all_parts(["sleep", "1000"])
    for part in parts:
        part.forget()
    pidfd = child._copied_pidfd()
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        del child
        gc.collect()
    assert calls == ["namespace left, not known", "watch gives up, not known"]
    assert ramet.wait([pidfd], SECONDS) == [pidfd]  # it was killed
    os.close(pidfd)
    ramet.run(["true"])  # which reaps it
    assert calls[2:] == ["descriptors closed, not known"]


@pytest.mark.usefixtures("nothing_left")
def test_one_without_any() -> None:
    """What most children have is one object, to which nothing was added."""
    children: list[Any] = [ramet.Command(["true"]).spawn() for _ in range(2)]
    own: Any = ramet.Command(["true"]).spawn()
    own._own_belongings().supervision = Part("watch", own, [])
    assert children[0]._belongings is children[1]._belongings
    assert children[0]._belongings.supervision is None
    for child in (*children, own):
        child.wait()
