"""Fixtures of the tests that start children in sandboxes."""

from collections.abc import Iterator

import pytest

from ramet._sandbox import kept

from ...waiting import nothing_unreaped, until


@pytest.fixture
def nothing_kept(nothing_left: object) -> Iterator[None]:
    """The same as nothing_left, when the library has forgotten what it keeps for sandboxes used again."""
    assert nothing_left is not None
    _forget()
    yield
    _forget()
    until(nothing_unreaped)  # a namespace that takes long to end is reaped by what is done next


def _forget() -> None:
    while kept._kept:
        kept._kept.popitem()[1].preparations.clear()
