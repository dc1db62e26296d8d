"""What calls of the tests of exceptions call: a module that imports next to nothing."""

from collections.abc import Callable, Iterator
from typing import Any, NoReturn


class OfModule(Exception):  # noqa: N818 - it is one of several
    """One of a module's own."""


class WithoutMessage(Exception):  # noqa: N818
    """One that cannot be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no message")


class NotRead(Exception):  # noqa: N818
    """One that cannot be made anew of its arguments."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first + second)


class Elsewhere(Exception):  # noqa: N818
    """One whose class is not found by its name."""


Elsewhere.__module__ = "nowhere"


class Outer:
    """Has one within it."""

    class InnerError(ValueError):
        """Found by a longer name."""


def _deep(calls: int) -> NoReturn:
    if calls:
        _deep(calls - 1)
    raise ValueError("deep")


def _of_several_lines() -> NoReturn:
    raise ValueError(
        "of",
        "several lines",
    )


def _with_notes() -> NoReturn:
    error = ValueError("with notes")
    error.add_note("one")
    error.add_note("and\nanother")
    raise error


def _with_odd_notes() -> NoReturn:
    error = ValueError("with odd notes")
    error.__notes__ = 7  # type: ignore[assignment]
    raise error


def _with_cause() -> NoReturn:
    raise ValueError("an effect") from KeyError("a cause")


def _in_handler() -> NoReturn:
    try:
        _raise(KeyError("first"))
    except KeyError:
        raise ValueError("second")  # noqa: B904 - with its context


def _in_handler_from_none() -> NoReturn:
    try:
        _raise(KeyError("first"))
    except KeyError:
        raise ValueError("alone") from None


def _of_text() -> NoReturn:
    exec("def raises():\n    raise ValueError('of a text')\nraises()", {"__name__": 3})
    raise AssertionError


def _in_generator() -> NoReturn:
    _raise(ValueError([*(1 // one for one in (1, 0))]))


def iter_of_none() -> Iterator[None]:
    """What no pickle takes."""
    yield


def _raise(error: BaseException) -> NoReturn:
    raise error


RAISING: dict[str, Callable[[], Any]] = {
    "a message": lambda: _raise(ValueError("a message")),
    "none": lambda: _raise(ValueError()),
    "a key": lambda: {}["missing"],  # type: ignore[index]
    "a system call": lambda: open("/not there"),  # noqa: SIM115
    "of a module": lambda: _raise(OfModule("its own", [1, {2}])),
    "within a class": lambda: _raise(Outer.InnerError("x")),
    "which cannot be printed": lambda: _raise(WithoutMessage("x")),
    "which cannot be read": lambda: _raise(NotRead(1, 2)),
    "which cannot be pickled": lambda: _raise(ValueError(iter_of_none())),
    "of a class that is not found": lambda: _raise(Elsewhere("x")),
    "with what is large": lambda: _raise(ValueError("x" * 40_000)),
    "with surrogates": lambda: _raise(ValueError("\udcff")),
    "with notes": _with_notes,
    "with odd notes": _with_odd_notes,
    "with a cause": _with_cause,
    "with a context": _in_handler,
    "without its context": _in_handler_from_none,
    "several": lambda: _raise(ExceptionGroup("several", [ValueError(1), KeyError(2)])),
    "of a name": lambda: undefined,  # type: ignore[name-defined]  # noqa: F821
    "of an attribute": lambda: (3).there,  # type: ignore[attr-defined]
    "of a text": _of_text,
    "in a generator": _in_generator,
    "of several lines": _of_several_lines,
    "99 calls deep": lambda: _deep(95),
    "120 calls deep": lambda: _deep(120),
    "of the interpreter": lambda: _raise(KeyboardInterrupt("x")),
    "a generator's end": lambda: next(iter(())),
}


def raises(name: str) -> None:
    """That one."""
    RAISING[name]()
