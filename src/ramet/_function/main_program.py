"""Functions of the main program that a subinterpreter can get without running that program.

Such a function uses only modules, objects of other modules, constants, and other such functions of the
program: these can be named or marshalled. A function that uses a class or a list of the program, or assigns
a global name, needs the program itself, which then runs there again.
"""

import sys
from collections.abc import Iterator
from dis import get_instructions
from types import CodeType, FunctionType, ModuleType
from typing import Any

MAIN = "__main__"

_CONSTANTS = frozenset({type(None), bool, int, float, complex, str, bytes})
_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_CHANGES = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
# A function that calls one of these may use any name.
_ANY_NAME = frozenset({"globals", "eval", "exec", "vars"})

Function = tuple[CodeType, str, tuple[Any, ...] | None, dict[str, Any] | None]


class MainFunctions:
    """Such functions and the global names that they use, ready to be marshalled.

    ``functions``: code, name and defaults of each, by number. ``names``: the meaning of each global name,
    as ("function", number), ("module", name), ("found", module, name) or ("constant", value).
    """

    def __init__(self) -> None:
        self.functions: list[Function] = []
        self.names: dict[str, tuple[Any, ...]] = {}
        self._numbers: dict[int, int] = {}

    def number_of(self, fn: FunctionType) -> int | None:
        """The function's number; None for one that needs the program to be run."""
        if id(fn) not in self._numbers:
            found: dict[int, FunctionType] = {}
            names: dict[str, tuple[Any, ...]] = {}
            if not self._collect(fn, found, names):
                return None
            for one in found.values():
                self._numbers[id(one)] = len(self.functions)
                self.functions.append(
                    (one.__code__, one.__name__, one.__defaults__, one.__kwdefaults__)
                )
            self.names |= {
                name: (kind, self._numbers[what[0]]) if kind == "function" else (kind, *what)
                for name, (kind, *what) in names.items()
            }
        return self._numbers[id(fn)]

    def _collect(
        self, fn: FunctionType, found: dict[int, FunctionType], names: dict[str, tuple[Any, ...]]
    ) -> bool:
        """Add the function and all that it uses; False when that needs the program to be run."""
        if id(fn) in found or id(fn) in self._numbers:
            return True
        found[id(fn)] = fn
        used = _used(fn.__code__)
        if used is None or not _is_bare(fn):
            return False
        for name in used & (fn.__globals__.keys() - {"__name__"}):  # which differs there
            value = fn.__globals__[name]
            if isinstance(value, FunctionType) and value.__globals__ is fn.__globals__:
                if not self._collect(value, found, names):
                    return False
                names[name] = ("function", id(value))
            else:
                place = _place_of(value)
                if place is None:
                    return False
                names[name] = place
        return True


def _is_bare(fn: FunctionType) -> bool:
    """Whether it consists of its code, the globals of the program, and constant defaults only."""
    is_at_home = fn.__globals__ is vars(sys.modules[MAIN])
    return is_at_home and not fn.__closure__ and not vars(fn) and _are_constants(_defaults(fn))


def _used(code: CodeType) -> frozenset[str] | None:
    """The global names that the code uses; None if it may use any, or assigns one."""
    names = set()
    for operation, name in _global_names(code):
        if operation in _CHANGES or name in _ANY_NAME:
            return None
        names.add(name)
    return frozenset(names)


def global_names(code: CodeType) -> Iterator[str]:
    """The global names that the code, and functions defined in it, look up."""
    return (name for operation, name in _global_names(code) if operation in _LOADS)


def _global_names(code: CodeType) -> Iterator[tuple[str, str]]:
    for instruction in get_instructions(code):
        if instruction.opname in _LOADS or instruction.opname in _CHANGES:
            yield instruction.opname, instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _defaults(fn: FunctionType) -> tuple[Any, ...]:
    return (*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values())


def _place_of(value: Any) -> tuple[Any, ...] | None:
    if _are_constants((value,)):
        return "constant", value
    if isinstance(value, ModuleType):
        module = value.__name__
        return ("module", module) if sys.modules.get(module) is value and module != MAIN else None
    home, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(home, str) or not isinstance(name, str) or home == MAIN:
        return None
    found: Any = sys.modules.get(home)
    for part in name.split("."):
        found = getattr(found, part, None)
    return ("found", home, name) if found is value else None


def _are_constants(values: tuple[Any, ...]) -> bool:
    return all(
        _are_constants(value) if type(value) is tuple else type(value) in _CONSTANTS
        for value in values
    )
