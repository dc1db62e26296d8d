"""A signal that comes after the interpreter's last look, and before the system call, ends no call."""

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import Template

from ...activities import hang
from ...constants import repeated
from .conftest import HeardError

_WAITS = repeated(400)
_MOST_SECONDS_BEFORE = 50e-6  # a wait begins some microseconds after the timer is set
_SECONDS = 10.0  # after which the signal comes again


def seconds_until_heard(wait: Callable[[], object], seconds: float) -> float:
    """How long the wait goes on when the signal comes after so many seconds."""
    begun = time.monotonic()
    with suppress(HeardError):
        signal.setitimer(signal.ITIMER_REAL, seconds, _SECONDS)
        wait()
    took = time.monotonic() - begun
    with suppress(HeardError):
        signal.setitimer(signal.ITIMER_REAL, 0)
    return took


def assert_each_is_heard(wait: Callable[[], object]) -> None:
    numbers = random.Random(2)
    for _ in range(_WAITS):
        assert seconds_until_heard(wait, numbers.uniform(1e-6, _MOST_SECONDS_BEFORE)) < _SECONDS / 2


WAITS: dict[str, Callable[[ramet.Child[Any]], object]] = {
    "child": lambda child: child.wait(),
    "child with a deadline": lambda child: child.wait(1000),
    "result": lambda child: child.result(),
    "many": lambda child: ramet.wait([child]),
}


@pytest.mark.usefixtures("handler", "nothing_left")
@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("flags", [F(0), F.VM], ids=["copy", "VM"])
def test_of_a_function(name: str, flags: F) -> None:
    """Each of hundreds ends its wait."""
    with ramet.clone(hang, flags=flags) as child:
        assert_each_is_heard(lambda: WAITS[name](child))


@pytest.mark.usefixtures("handler", "nothing_left")
def test_of_a_call() -> None:
    """The same while a call of a template runs."""
    with Template(spares=1) as template, template.clone(hang) as child:
        assert_each_is_heard(child.result)


@pytest.mark.usefixtures("handler", "nothing_left")
@pytest.mark.parametrize(
    "streams",
    [
        {},
        {"stdout": ramet.PIPE},
        {"stdout": ramet.PIPE, "stderr": ramet.PIPE},
    ],
    ids=["no pipe", "one pipe", "two pipes"],
)
def test_of_a_program(streams: dict[str, Any]) -> None:
    """The same while its output is read."""
    with ramet.Popen(["sleep", "1000"], **streams) as process:
        try:
            assert_each_is_heard(process.communicate)
        finally:
            process.kill()
