"""Calls that cross without a pickle: of functions that are found by their names, with plain arguments."""

import math
import operator
import pickle
import types
from functools import partial
from typing import Any

import pytest

from ramet._core import named_call
from ramet._workers.crossing.pickling import loaded_call, pickled_call


def doubled(value: int) -> int:
    """Found by its name in this module."""
    return 2 * value


class Owner:
    """Of a method."""

    def method(self) -> None:
        """Found by the name of its class."""


@pytest.mark.parametrize("fn", [divmod, math.sqrt, operator.add, doubled], ids=repr)
def test_a_call_by_name_is_read_as_it_was(fn: Any) -> None:
    """The same function, by the name that pickle finds it by; the arguments are equal."""
    assert named_call(fn, (1, "a", (2.5, None))) is not None
    assert loaded_call(pickled_call(fn, (1, "a", (2.5, None)))) == (fn, (1, "a", (2.5, None)))


def _renamed() -> types.FunctionType:
    """A function that its module has no more: another has its name."""
    return types.FunctionType(doubled.__code__, globals(), "doubled")


def _of_main() -> types.FunctionType:
    made = types.FunctionType((lambda: None).__code__, {"__name__": "__main__"}, "doubled")
    made.__module__ = "__main__"
    return made


@pytest.mark.parametrize(
    "fn",
    [
        Owner,
        Owner.method,
        Owner().method,
        [].append,
        "a".join,
        lambda: None,
        _renamed(),
        _of_main(),
        None,
        1,
    ],
    ids=lambda fn: str(fn)[:30],
)
def test_what_has_no_name_in_its_module_is_left_to_pickle(fn: object) -> None:
    """Classes, methods, lambdas, what another has taken the name of, and what __main__ has."""
    assert named_call(fn, ()) is None


@pytest.mark.parametrize("arguments", [({1},), ([{1}],), (Owner,), (1 << 80,), (b"x" * (1 << 14),)])
def test_other_arguments_are_pickled(arguments: tuple[Any, ...]) -> None:
    """They arrive by pickle, as all calls did."""
    assert named_call(doubled, arguments) is None
    parts = pickled_call(doubled, arguments)
    assert pickle.loads(parts[0]) == loaded_call(parts) == (doubled, arguments)


def test_arguments_by_keyword_are_read_as_they_were() -> None:
    """With those by place, or alone; none at all are as no dict of them."""
    call = named_call(operator.add, (1,), {"a": [2], "b": "c"})
    assert call is not None
    fn, args = loaded_call((call,))
    assert isinstance(fn, partial)
    assert (fn.func, fn.args, fn.keywords, args) == (operator.add, (), {"a": [2], "b": "c"}, (1,))
    assert named_call(operator.add, (1,), {}) == named_call(operator.add, (1,))
    assert named_call(operator.add, (), {"a": {1}}) is None


@pytest.mark.parametrize(
    "given", [(), (abs,), (abs, []), (abs, (), None), (abs, (), {}, 1)], ids=str
)
def test_bad_arguments(given: tuple[Any, ...]) -> None:
    """Anything but a tuple and a dict."""
    with pytest.raises(TypeError, match="named_call"):
        named_call(*given)


def test_a_module_that_is_missing_is_an_import_error() -> None:
    """As pickle says it."""
    (call,) = pickled_call(doubled, (1,))
    with pytest.raises(ModuleNotFoundError):
        loaded_call((call.replace(b"test_named_call", b"test_nomed_call"),))
    with pytest.raises(AttributeError):
        loaded_call((call.replace(b"doubled", b"dooooed"),))
