"""How the children of calls end: by themselves, once their outcome has been read."""

import os
import select
import signal
from typing import Any

import pytest

from ramet import Child, Template

pytestmark = pytest.mark.usefixtures("nothing_left")

LONG_MILLISECONDS = 20_000


def has_ended(child: Child[Any]) -> bool:
    """Waits for that, without asking the child to end."""
    poll = select.poll()
    poll.register(child.fileno(), select.POLLIN)
    return bool(poll.poll(LONG_MILLISECONDS))


def test_a_child_ends_by_itself_when_its_outcome_has_been_read() -> None:
    """Nobody lets it go, nor waits for it."""
    with Template() as template:
        child = template.clone(os.getpid)
        assert child.result() == child.pid
        assert has_ended(child)
        assert child.wait().code == 0


@pytest.mark.parametrize("spares", [0, 2])
def test_children_that_nobody_waits_for_are_reaped_by_later_calls(spares: int) -> None:
    """Not each by the next call, but all but a few by some later ones."""
    with Template(spares=spares) as template:
        first = [template.clone(divmod, n, 2) for n in range(10)]
        assert [child.result() for child in first] == [divmod(n, 2) for n in range(10)]
        assert all(has_ended(child) for child in first)
        for n in range(20):
            assert template.clone(divmod, n, 2).result() == divmod(n, 2)
        assert all(child.exit_status is not None and child.exit_status.success for child in first)


def test_the_end_of_a_child_that_is_killed_after_its_outcome_is_known() -> None:
    """The outcome stays, and the status says what came first."""
    with Template() as template:
        child = template.clone(os.getpid)
        assert child.result() == child.pid
        child.kill()
        status = child.wait()
        assert status.code == 0 or status.signal == signal.SIGKILL
        assert child.result() == child.pid


def test_a_child_that_dies_without_an_outcome_is_reaped_with_its_signal() -> None:
    """By a later call, too; and the next calls are as before."""
    with Template() as template:
        child = template.clone(signal.raise_signal, signal.SIGKILL)
        assert has_ended(child)
        assert child.wait().signal == signal.SIGKILL
        assert template.clone(abs, -1).result() == 1
