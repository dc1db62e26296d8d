"""What a template takes of a function's pickle: code, cells, modules that are there, and plain values."""

import math
import pickle
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ramet._workers.crossing.pickling import CallByValue, light_call
from ramet._workers.in_call import kept_functions
from ramet._workers.template.kept_functions import _MOST_COUNTED, KeptFunctions
from ramet._workers.template.telling import CALLS_BEFORE

pytest.importorskip("cloudpickle")


@pytest.fixture(autouse=True)
def without_it_later() -> Iterator[None]:
    """No other test has the function."""
    yield
    vars(kept_functions).pop("function", None)


def _call_of(fn: Callable[..., Any], *args: Any, **keywords: Any) -> CallByValue:
    call = light_call(fn, args, keywords)
    assert isinstance(call, CallByValue)
    return call


def _kept(fn: Callable[..., Any]) -> Callable[..., Any]:
    kept_functions.keep("function", _call_of(fn).function)
    found: Callable[..., Any] = vars(kept_functions)["function"]
    return found


def test_functions_are_kept() -> None:
    """With their variables, their defaults, their attributes, other functions, and modules."""
    add = 3

    def inner(value: int) -> int:
        return value + add

    def fn(value: int, sign: float = -1.0) -> float:
        return math.copysign(inner(value), sign)

    fn.told = [1]  # type: ignore[attr-defined]
    found = _kept(fn)
    assert found is not fn
    assert found(4) == -7
    assert vars(found) == {"told": [1]}


class Touching:
    """What makes a file when it is made again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


class Restored:
    """What makes a file when it gets its state again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __setstate__(self, state: dict[str, Path]) -> None:
        state["path"].touch()


@pytest.mark.parametrize("kind", [Touching, Restored])
def test_nothing_is_called_for_objects(kind: Any, tmp_path: Path) -> None:
    """Neither a class, nor what its objects name to make them again."""
    value = kind(tmp_path / "file")
    with pytest.raises(pickle.UnpicklingError, match="expected a function alone"):
        _kept(lambda: value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [Decimal(1), object(), range(3), {1: [Decimal(2)]}], ids=repr)
def test_objects_are_refused(value: object) -> None:
    """Plain ones alone are taken."""
    with pytest.raises(pickle.UnpicklingError, match="expected a function alone"):
        _kept(lambda: value)


def test_classes_by_value_are_refused() -> None:
    """Their making may run code of a metaclass."""

    class Local:
        pass

    with pytest.raises(pickle.UnpicklingError, match="expected a function alone"):
        _kept(lambda: Local)


def test_no_module_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is not there, or one of a function that is named."""
    import colorsys

    rgb_to_hsv = colorsys.rgb_to_hsv
    of_module, of_function = lambda: colorsys, lambda: rgb_to_hsv
    calls = [_call_of(of_module), _call_of(of_function)]
    monkeypatch.delitem(sys.modules, "colorsys")
    for call in calls:
        with pytest.raises(KeyError, match="colorsys"):
            kept_functions.keep("function", call.function)
    assert "colorsys" not in sys.modules


def test_when_one_is_due() -> None:
    """Ever more rarely where it is refused, and not where too many others have come between to count."""
    functions, call = KeptFunctions(), _call_of(lambda: 1)
    due = [number for number in range(1, 100) if functions.is_due(call)]
    assert due == [4, 8, 16, 32, 64]
    functions.is_kept(call, functions.next_name())
    assert not any(functions.is_due(call) for _ in range(100))
    other = _call_of(lambda: 2)
    for _ in range(CALLS_BEFORE - 1):
        functions.is_due(other)
    for number in range(_MOST_COUNTED):
        assert not functions.is_due(_call_of(lambda number=number: number))
    assert not functions.is_due(other)


def test_a_call_names_what_is_kept() -> None:
    """With its own arguments; one that gets too long by the name, or is no call by value, stays."""
    functions, fn = KeptFunctions(), lambda *args, **keywords: (args, keywords)
    call = _call_of(fn, [1], a=2)
    assert functions.named(call) is call
    functions.is_kept(call, functions.next_name())
    (named,) = functions.named(call)
    assert b"kept_functions" in named
    assert call.function not in named
    assert functions.named((b"other",)) == (b"other",)


def test_a_long_function_is_not_pickled_to_its_end() -> None:
    """All of the call is pickled then, and twice would take twice as long."""
    asked = 0

    class Asked:
        def __reduce__(self) -> Any:
            nonlocal asked
            asked += 1
            return str, (str(asked) * 1000,)

    many = [Asked() for _ in range(2000)]
    assert light_call(lambda: many, (), {}) is None
    assert 0 < asked < 500


def test_what_is_no_call_by_value_alone() -> None:
    """A function with a name, other callables, arguments that are not plain, what is long."""
    assert type(light_call(math.sqrt, (2,), {})) is tuple
    assert light_call(Decimal, (2,), {}) is None
    assert light_call(lambda value: value, ({1},), {}) is None
    long = "x" * (1 << 14)
    assert light_call(lambda: long, (), {}) is None
    outside = pickle.PickleBuffer(bytearray(9))
    assert light_call(lambda: outside, (), {}) is None
    lock = __import__("threading").Lock()
    assert light_call(lambda: lock, (), {}) is None
