"""What an executor learns of the calls that are over: how often it looks."""

from types import FunctionType
from typing import Any

import pytest

import ramet
from ramet._workers.executor import learning


class NothingLacks:
    """A template that has loaded all there is."""

    def _lacking(self, modules: list[str]) -> list[str]:  # noqa: ARG002
        return []


class RefusesSome:
    """A template that can load all but these."""

    def __init__(self, refused: set[str]) -> None:
        self._refused = refused
        self.loaded: list[str] = []
        self.starts = 0

    def _lacking(self, modules: list[str]) -> list[str]:
        return modules

    def _load_more(self, modules: list[str]) -> None:
        self.starts += 1
        if self._refused.intersection(modules):
            raise ramet.TemplateError("one of them cannot be loaded")
        self.loaded += modules


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


@pytest.mark.parametrize(
    ("refused", "told", "starts"),
    [
        (set(), [], 1),
        ({"four"}, ["four"], 7),
        ({"one", "six"}, ["one", "six"], 11),
        ({"json.decoder"}, ["json, json.decoder"], 7),
    ],
    ids=str,
)
def test_what_cannot_be_loaded_costs_no_other(
    refused: set[str],
    told: list[str],
    starts: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others are loaded, with few processes, and it alone is named; it is not tried again."""
    needed = ["one", "two", "three", "four", "five", "six", "json", "json.decoder"]
    monkeypatch.setattr(learning, "packages_of", lambda _: needed)
    template = RefusesSome(refused)
    learns = learning.Learning(template)  # type: ignore[arg-type]
    learns.learn(of_main("1"), is_called_again=True)
    learns._thread.join()  # type: ignore[union-attr]
    left_out = {name for names in told for name in names.split(", ")}
    assert sorted(template.loaded) == sorted(set(needed) - left_out)
    assert [record.args[0] for record in caplog.records] == told  # type: ignore[index]
    assert template.starts <= starts
    needed += ["json.encoder"]
    before = template.starts
    learns.learn(of_main("2"), is_called_again=True)
    learns._thread.join()  # type: ignore[union-attr]
    assert template.starts == before + (not left_out & {"json"})


def test_many_that_cannot_be_loaded_are_tried_so_often(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each attempt is a process."""
    needed = [f"module_{number}" for number in range(100)]
    monkeypatch.setattr(learning, "packages_of", lambda _: needed)
    template = RefusesSome(set(needed))
    learns = learning.Learning(template)  # type: ignore[arg-type]
    learns.learn(of_main("1"), is_called_again=True)
    learns._thread.join()  # type: ignore[union-attr]
    assert template.starts < 30
    told = [name for record in caplog.records for name in record.args[0].split(", ")]  # type: ignore[index, union-attr]
    assert sorted(told) == sorted(needed)
