"""What is said of a call that cannot be pickled."""

import sys
from collections.abc import Callable
from threading import Lock
from types import FunctionType
from typing import Any

import pytest

from ramet._workers.pickling import pickled_call


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
    """A method by its class, and of what goes with it the one thing that cannot cross."""
    words = f"got .*{told}: TypeError: cannot pickle '{kind}' object{remedy}$"
    with pytest.raises(TypeError, match=f"^invalid call: expected what can be pickled, {words}"):
        pickled_call(fn, args)
