"""What is said of a call that cannot be pickled."""

import random
import sys
from collections.abc import Callable
from functools import singledispatch
from threading import Lock
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from ramet._workers.crossing.pickling import loaded_call, pickled_call


def test_how_to_install_cloudpickle_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The note of the cause is in its words already."""
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    for fn, args in ((lambda: 1, ()), (str, (lambda: 1,))):
        with pytest.raises(TypeError) as refused:
            pickled_call(fn, args)
        assert str(refused.value).count("install ramet[workers]") == 1


class Service:
    """An object with a lock, and a number that is no trouble."""

    def __init__(self) -> None:
        self.number = 1
        self.lock = Lock()

    def work(self) -> int:
        return self.number


class Careful(Service):
    """It takes its lock along for nobody, and something else that cannot cross."""

    def __init__(self) -> None:
        super().__init__()
        self.left = (number for number in (1, 2))

    def __getstate__(self) -> dict[str, Any]:
        return {"left": self.left}


class Slotted:
    """The same without a dictionary."""

    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = Lock()


def of_main(body: str, **names: object) -> FunctionType:
    """A function of a script, which uses its globals."""
    exec(f"def fn(): return {body}", scope := {"__name__": "__main__", **names})
    found = scope["fn"]
    assert isinstance(found, FunctionType)
    return found


def closes_over(value: object) -> Callable[[], object]:
    return lambda: value


LOCK = "_thread.lock"
REMEDY = "; put it into a module, which each call imports"


@pytest.mark.parametrize(
    ("fn", "args", "told", "kind", "remedy"),
    [
        (Service().work, (), "Service.work, of which the attribute 'lock' cannot be", LOCK, ""),
        (
            Careful().work,
            (),
            "Service.work, of which the attribute 'left' cannot be",
            "generator",
            "",
        ),
        (str, (Slotted(),), "argument 0 <.*>, of which the attribute 'lock' cannot be", LOCK, ""),
        (
            of_main("lock", lock=Lock()),
            (),
            "function fn, of which the global 'lock' cannot be",
            LOCK,
            REMEDY,
        ),
        (
            of_main("own.number", own=Service()),
            (),
            "of which the global 'own' cannot be",
            LOCK,
            REMEDY,
        ),
        (closes_over(Lock()), (), "of which the variable 'value' cannot be", LOCK, ""),
        (str, (Lock(),), "argument 0 <unlocked .*>", LOCK, ""),
    ],
    ids=str,
)
def test_what_cannot_be_pickled_is_named(
    fn: Any, args: tuple[Any, ...], told: str, kind: str, remedy: str
) -> None:
    """A method by its class, and of what goes with it the one thing that cannot cross.

    What pickle itself notes of that, on Python 3.14, follows.
    """
    words = f"got .*{told}: TypeError: cannot pickle '{kind}' object{remedy}(\n|$)"
    with pytest.raises(TypeError, match=f"^invalid call: expected what can be pickled, {words}"):
        pickled_call(fn, args)


def test_a_function_that_a_decorator_of_a_script_has_made_goes_to_a_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its globals are the decorator's, but it is found among those of ``__main__``."""
    decorated = singledispatch(of_main("1"))
    words = "the function fn, of which the variable .* cannot be: .*"
    with pytest.raises(TypeError, match=words) as elsewhere:
        pickled_call(decorated, ())
    monkeypatch.setattr(sys.modules["__main__"], "fn", decorated, raising=False)
    with pytest.raises(TypeError, match=f"{words}{REMEDY}"):
        pickled_call(decorated, ())
    assert REMEDY not in str(elsewhere.value)


@pytest.mark.parametrize(
    "fn", [random.random, random.randint, np.random.random, np.random.randint], ids=str
)
def test_a_function_of_a_hidden_object_crosses_by_its_name(fn: Any) -> None:
    """As an argument, too; the numbers of its object stay here."""
    parts = pickled_call(fn, (1, fn, complex))
    assert len(parts[0]) < 250
    read, args = loaded_call(parts)
    assert (read, args) == (fn, (1, fn, complex))
    assert getattr(read, "__self__", None) is fn.__self__


def test_a_function_by_value_names_those_that_it_uses() -> None:
    """As a script's function does after ``from random import randint``."""
    uses = of_main("(randint, rand)", randint=random.randint, rand=np.random.rand)
    parts = pickled_call(uses, ())
    assert len(parts[0]) < 1000
    read, _ = loaded_call(parts)
    assert read() == (random.randint, np.random.rand)


def test_a_method_of_another_generator_takes_it_along() -> None:
    """It is the caller's own, and means its numbers."""
    own = random.Random(3)
    read, _ = loaded_call(pickled_call(own.random, ()))
    assert read() == own.random()
