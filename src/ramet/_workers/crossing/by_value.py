"""The pickler of what another process finds by no name: cloudpickle's, and what that leaves to names."""

import functools
import sys
from collections.abc import Callable
from io import TextIOWrapper
from operator import attrgetter
from types import CodeType
from typing import Any, ClassVar, NamedTuple, NewType

from ..._process.tensors import is_tensor
from ..._process.tensors import reduced as reduced_tensor
from .methods_by_name import METHODS, by_name

_NO_FILE = "<dynamic-code>"
_CACHED = type(functools.cache(len))
_NEW_TYPE: type = type(NewType("_Number", int))

# What pickle and cloudpickle write by name alone, beside functions and classes.
NAMED_ALONE: tuple[type, ...] = (_CACHED, _NEW_TYPE)


def by_value_pickler() -> Any:
    """Its class; None without cloudpickle, which may be installed between two calls."""
    try:
        from cloudpickle import Pickler
    except ImportError:
        return None
    return _derived_from(Pickler)


@functools.cache
def _derived_from(pickler: Any) -> Any:
    class ByValue(pickler):  # type: ignore[misc]
        # cloudpickle would send what is in a file instead of the file.
        dispatch_table: ClassVar = {
            kind: reduce
            for kind, reduce in pickler.dispatch_table.items()
            if kind is not TextIOWrapper
        }
        dispatch_table[CodeType] = _with_its_file(pickler.dispatch_table[CodeType])

        def reducer_override(self, value: Any) -> Any:
            if is_tensor(value):
                return reduced_tensor(value)
            if isinstance(value, NAMED_ALONE) and not _is_found(value):
                return _parts_of(value)
            if type(value) is functools.cached_property:
                return _cached_property, (value.func, value.attrname)
            if isinstance(value, METHODS) and (named := by_name(value)) is not None:
                return named
            reduced = super().reducer_override(value)
            if isinstance(value, type) and isinstance(reduced, tuple):
                _keep_slots(value, reduced)
            return reduced

    return ByValue


def _keep_slots(kind: type, reduced: tuple[Any, ...]) -> None:
    """Cloudpickle makes a class without them: what is pickled of its objects there fits none of those here.

    Its arguments for a new class, not of an enum, begin with the metaclass; the third are the bases, the
    fourth is what the class has from the first on. A NamedTuple makes its slots itself, and takes none.
    """
    made_with = reduced[1]
    if "__slots__" not in vars(kind) or made_with[0] is not type(kind):
        return
    if NamedTuple not in made_with[2]:
        made_with[3].setdefault("__slots__", vars(kind)["__slots__"])


def _with_its_file(reduce: Callable[[CodeType], Any]) -> Callable[[CodeType], Any]:
    """Cloudpickle gives code no file: a traceback would show no lines."""

    def reduced(code: CodeType) -> tuple[Any, ...]:
        make, parts = reduce(code)
        return make, tuple(
            code.co_filename if isinstance(part, str) and part == _NO_FILE else part
            for part in parts
        )

    return reduced


def _is_found(value: Any) -> bool:
    """Whether its name means the same in another process, whose main module is its own."""
    if value.__module__ == "__main__":
        return False
    try:
        return attrgetter(value.__qualname__)(sys.modules[value.__module__]) is value
    except (AttributeError, KeyError):
        return False


def _parts_of(value: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    if isinstance(value, _CACHED):
        made_with = value.cache_parameters()
        return _cached, (value.__wrapped__, made_with["maxsize"], made_with["typed"])
    return _new_type, (value.__qualname__, value.__supertype__, value.__module__)


def _cached(fn: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """With a cache that is empty."""
    return functools.lru_cache(maxsize, typed)(fn)


def _cached_property(fn: Callable[[Any], Any], name: str | None) -> functools.cached_property[Any]:
    """Without the lock that it has before Python 3.12, which pickle does not take."""
    made = functools.cached_property(fn)
    made.attrname = name  # its class is given it when it is there, which tells it no name
    return made


def _new_type(name: str, supertype: Any, module: str) -> Any:
    made: Any = NewType(name, supertype)  # type: ignore[misc] # mypy wants names that it sees
    made.__module__ = module
    return made
