"""What is compared at each call: the caller's directory, output, environment, arguments and path."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ramet._core import is_as_before, process_place
from ramet._workers.crossing.caller_state import CallerState, apply


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {}, True),
        ({b"a": b"1"}, {b"a": b"1"}, True),
        ({b"a": b"1"}, {b"a": b"2"}, False),
        ({b"a": b"1"}, {b"b": b"1"}, False),
        ({b"a": b"1"}, {b"a": b"1", b"b": b"2"}, False),
        ([], [], True),
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["b", "a"], False),
        (["a"], ["a", "b"], False),
        ([], {}, False),
        (("a",), ("a",), False),
    ],
    ids=str,
)
def test_pairs(one: Any, other: Any, same: bool) -> None:
    """Dicts and lists of the same objects in the same places are as before."""
    assert is_as_before(process_place(), one, other) is same
    assert is_as_before(process_place(), [], [], one, other) is same


def test_equal_objects_may_differ() -> None:
    """An equal object is not looked at: who asks compares then."""
    assert not is_as_before(process_place(), {b"a": bytes([65, 66])}, {b"a": bytes([65, 66])})


def test_another_place() -> None:
    """The place is compared first."""
    assert is_as_before(process_place())
    assert not is_as_before(b"")
    assert not is_as_before(process_place() + b"x", [], [])


@pytest.mark.parametrize("given", [(), ("place",), (b"", []), (b"", [], [], [])], ids=str)
def test_bad_arguments(given: tuple[Any, ...]) -> None:
    """Anything else than a place and pairs is refused."""
    with pytest.raises(TypeError, match="is_as_before"):
        is_as_before(*given)


def _set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAMET_OF_A_TEST", "1")


def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAMET_BEFORE")


def _replace_argv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["other"])


def _delete_argv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys, "argv")


def _change_argv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["one"])
    sys.argv.append("other")


def _change_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend("/of a test")


def _change_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_set, {"env": {b"RAMET_OF_A_TEST": b"1"}}),
        (_unset, {"env": {b"RAMET_BEFORE": None}}),
        (_replace_argv, {"argv": ["other"]}),
        (_delete_argv, {"argv": []}),
        (_change_argv, {"argv": ["one", "other"]}),
        (_change_path, {"path"}),
        (_change_directory, {"cwd": str(Path(__file__).parent)}),
    ],
    ids=lambda given: getattr(given, "__name__", None),
)
def test_what_has_changed_is_found(
    change: Callable[[pytest.MonkeyPatch], None], found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them, and nothing when it is put back."""
    monkeypatch.setenv("RAMET_BEFORE", "1")
    state = CallerState()
    assert state.changes() == ({}, ())
    with monkeypatch.context() as changed:
        change(changed)
        changes, descriptors = state.changes()
        assert changes == found or set(changes) == found
        assert descriptors == ()
    assert state.changes() == ({}, ())


def test_an_equal_environment_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set to what it was is another object, of the same value."""
    monkeypatch.setenv("RAMET_BEFORE", "of a test")
    state = CallerState()
    os.environ["RAMET_BEFORE"] = "of a" + " test"
    assert state.changes() == ({}, ())


def test_all_differs_from_what_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a process that has one of two states, each variable of both is told, and all else."""
    monkeypatch.setenv("RAMET_BEFORE", "1")
    state = CallerState()
    monkeypatch.setenv("RAMET_OF_A_TEST", "1")
    unsure = state.or_else(state.now())
    monkeypatch.delenv("RAMET_BEFORE")
    monkeypatch.delenv("RAMET_OF_A_TEST")
    changes, descriptors = unsure.changes()
    assert changes["cwd"] == os.getcwd()
    assert (changes["argv"], changes["path"]) == (sys.argv, sys.path)
    assert changes["env"] == {
        **os.environb,
        **dict.fromkeys((b"RAMET_BEFORE", b"RAMET_OF_A_TEST")),
    }
    assert [*changes["closed"], *descriptors] == [1, 2]


def test_the_time_zone_is_read_again_where_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not at each call: libc reads a file for it."""
    read: list[bool] = []
    monkeypatch.setattr(time, "tzset", lambda: read.append(True))
    monkeypatch.setenv("TZ", "UTC")
    apply({"env": {b"RAMET_OF_A_TEST": None}}, ())
    assert read == []
    apply({"env": {b"TZ": None}}, ())
    assert read == [True]
