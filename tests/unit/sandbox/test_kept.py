"""Which confinements are kept, also where a comparison of their descriptions is interrupted."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from ramet._sandbox import kept


class _Interrupt(BaseException):
    """What a signal handler raises."""


class _Description:
    """One that is compared by its number; after `left` comparisons one is interrupted."""

    left = 10**9

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        type(self).left -= 1
        if type(self).left == 0:
            raise _Interrupt
        return isinstance(other, _Description) and self.number == other.number


class _Confinement:
    """One that needs nothing of this machine."""

    is_current = True

    def __init__(self, sandbox: Any, _others: Any) -> None:
        self.asked, self.used = sandbox, 0
        self.preparations: dict[object, object] = {}
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def _confined(number: int) -> Any:
    kind: Any = _Confinement
    return kept.confinement_of(kind, _Description(number))  # type: ignore[arg-type]


def _found(number: int) -> Any:
    kind: Any = _Confinement
    return kept.found_confinement(kind, _Description(number))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _nothing_else_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    _Description.left = 10**9
    monkeypatch.setattr(kept, "_kept", type(kept._kept)())
    yield
    _Description.left = 10**9


def test_the_one_that_was_not_used_longest_goes() -> None:
    """To find one again, or to ask for it, is a use."""
    made = [_confined(number) for number in range(16)]
    assert _found(0) is made[0]
    assert _confined(1) is made[1]
    _confined(16)
    assert [number for number in range(17) if _found(number) is None] == [2]


@pytest.mark.parametrize("use", [_confined, _found])
@pytest.mark.parametrize("left", range(1, 8))
def test_an_interrupted_comparison_breaks_nothing(use: Any, left: int) -> None:
    """Whatever it was that a signal handler's exception has interrupted, all can be used and released."""
    for number in range(16):
        _confined(number)
    _Description.left = left
    with suppress(_Interrupt):
        use(3)
        use(3)
        use(20)
    _Description.left = 10**9
    made = [_confined(number) for number in range(40, 60)]
    for number in range(60):
        kept.release(_Description(number))  # type: ignore[arg-type]
    assert not kept._kept
    assert [one.is_closed for one in made] == [False] * 4 + [True] * 16
