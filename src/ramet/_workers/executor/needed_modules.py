"""Which modules a process needs to make a value of its pickle."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from types import FunctionType, ModuleType
from typing import Any

from ..template.source_files import is_of_python

_PROTOCOL = 5
# What a call by value makes anew, and what a template imports by itself to read one.
_NOT_NEEDED = {"__main__", "cloudpickle"}
_WITHOUT_FILE = {"built-in", "frozen"}  # the origin of modules that are in the interpreter


def modules_of(value: object) -> list[str]:
    """Those that can be imported by their names, sorted; none without cloudpickle."""
    from cloudpickle import Pickler

    found: set[str] = set()

    class Finder(Pickler):  # type: ignore[misc] # cloudpickle has no types
        def reducer_override(self, obj: Any) -> Any:
            found.update(_named_by(obj))
            return super().reducer_override(obj)

    with suppress(Exception):  # what cannot be pickled is told when it is submitted
        Finder(BytesIO(), _PROTOCOL, buffer_callback=lambda _: None).dump(value)
    return sorted(name for name in found if _is_importable(name))


def packages_of(value: object) -> list[str]:
    """Modules of Python and of packages that a value needs, itself or by modules of the program's own.

    A program's own modules may have changed by the next call, and may open what no two calls can share.
    """
    found, left = set(), modules_of(value)
    seen = set(left)
    for name in left:
        module = sys.modules[name]
        if _is_pythons(module):
            found.add(name)
            continue
        more = {one for held in list(vars(module).values()) for one in _named_by(held)} - seen
        seen |= more
        left += sorted(filter(_is_importable, more))
    return sorted(found)


def _is_pythons(module: ModuleType) -> bool:
    """Whether it is Python's own, or of an installed package.

    Debuggers and notebooks put functions of their own into ``builtins``, which has no file.
    """
    if getattr(module.__spec__, "origin", None) in _WITHOUT_FILE:
        return True
    return is_of_python(getattr(module, "__file__", None) or "")


def package_of(name: str) -> str:
    """The package that a module is a part of, which can be loaded or not; a namespace is none."""
    parts = name.split(".")
    heads = (".".join(parts[:count]) for count in range(1, len(parts)))
    has_file = (head for head in heads if getattr(sys.modules.get(head), "__file__", None))
    return next(has_file, name)


def _named_by(value: object) -> Iterator[str]:
    """The module that pickle would name for it."""
    if isinstance(value, ModuleType):
        yield value.__name__
    elif isinstance(value, type | FunctionType):
        yield str(value.__module__)


def _is_importable(name: str) -> bool:
    module = sys.modules.get(name)
    return (
        name.partition(".")[0] not in _NOT_NEEDED and getattr(module, "__spec__", None) is not None
    )
