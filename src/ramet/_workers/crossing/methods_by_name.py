"""Functions of a module that are methods of its one hidden object, such as random.random, cross by name.

Pickle would take the object along, and with it the state that it has in the caller: any two calls had the
same random numbers.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import BuiltinMethodType, MethodType
from typing import Any

_MODULES = ("random", "numpy.random")
METHODS = (MethodType, BuiltinMethodType)

Reduced = tuple[Callable[..., object], tuple[str, str]]


def by_name(method: Any) -> Reduced | None:
    """How pickle is to make one of METHODS, if it is such a function."""
    name = getattr(method, "__name__", "")
    for module in _MODULES:
        if getattr(sys.modules.get(module), name, None) is method:
            return _named, (module, name)
    return None


def _named(module: str, name: str) -> object:
    return getattr(import_module(module), name)


class _ByName:
    """What pickle writes in the place of such a function."""

    __slots__ = ("_reduced",)

    def __init__(self, reduced: Reduced) -> None:
        self._reduced = reduced

    def __reduce__(self) -> Reduced:
        return self._reduced


def without_state(value: Any) -> Any:
    """The value; for such a function, what pickle writes by its name, without the hidden object."""
    reduced = by_name(value) if isinstance(value, METHODS) else None
    return value if reduced is None else _ByName(reduced)
