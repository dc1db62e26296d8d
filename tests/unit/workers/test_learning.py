"""What an executor learns of the calls that are over: how often it looks."""

from types import FunctionType
from typing import Any

import pytest

from ramet._workers import learning


class NothingLacks:
    """A template that has loaded all there is."""

    def lacking(self, modules: list[str]) -> list[str]:  # noqa: ARG002
        return []


def of_main(code: str) -> FunctionType:
    return FunctionType(compile(code, "<main>", "eval"), {"__name__": "__main__"})


def test_a_function_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is called again, and not at each of a million calls; one that others wait for, at once."""
    looked: list[Any] = []

    def look(fn: Any) -> list[str]:
        looked.append(fn)
        return []

    monkeypatch.setattr(learning, "packages_of", look)
    learns = learning.Learning(NothingLacks())  # type: ignore[arg-type]
    first, second = of_main("1"), of_main("2")
    learns.learn(first, is_called_again=False)
    assert looked == []
    for _ in range(3):
        learns.learn(first, is_called_again=False)
        learns.learn(second, is_called_again=True)
    assert looked == [first, second]
    learns.learn(test_a_function_is_looked_through_once, is_called_again=True)
    assert looked == [first, second]
