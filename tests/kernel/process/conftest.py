"""What tests of processes have in common."""

import signal
from collections.abc import Iterator

import pytest


class HeardError(Exception):
    """What the handler of SIGALRM raises."""


@pytest.fixture
def handler() -> Iterator[None]:
    """One for SIGALRM, which raises."""

    def raises(*_: object) -> None:
        raise HeardError

    before = signal.signal(signal.SIGALRM, raises)
    yield
    signal.signal(signal.SIGALRM, before)
