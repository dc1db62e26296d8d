"""How a process comes by what the main program defines: that runs once more, or definitions are sent.

A process that is not a fork has another ``__main__``. multiprocessing's "spawn" runs the main program again
there, by the name ``__mp_main__``, so that only what stands behind a guard is left out. A program that has
such a guard is written for that. Any other would do all of its work twice; its functions and classes
are sent by value.
"""

import ast
import functools
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, Literal, TypeAlias

from .._workers.crossing.by_value import NAMED_ALONE

Way: TypeAlias = Literal["once", "each", "never"]
WAYS: tuple[Way, ...] = ("once", "each", "never")
HOW_TO_RUN_IT = (
    'the main program has no `if __name__ == "__main__":`, so it is not run again in its processes, and '
    "what it defines is sent by value: give it one, or context(main='once')"
)
MAIN_KEYS = ("init_main_from_name", "init_main_from_path")


def way_of(what: dict[str, Any]) -> Way:
    """Whether the main program is to run once more: once, in the template, or never.

    what: as spawn's preparation data name it.
    """
    name, path = (what.get(key) for key in MAIN_KEYS)
    if name == "__main__" or str(name).endswith(".__main__"):
        return "never"  # of a package, which spawn does not run either
    if name is None and (path is None or Path(path).stem == "ipython"):
        return "never"
    return "once" if _has_guard(getattr(sys.modules["__main__"], "__file__", None)) else "never"


def _has_guard(file: str | None) -> bool:
    """Whether what the file does at its top level depends on a comparison of ``__name__``."""
    try:
        tree = ast.parse(Path(file or "").read_bytes())
    except (OSError, SyntaxError, ValueError):  # compiled, or gone
        return False
    return any(isinstance(node, ast.Compare) and _names_itself(node) for node in _top_level(tree))


def _top_level(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child
            yield from _top_level(child)


def _names_itself(comparison: ast.Compare) -> bool:
    sides = [comparison.left, *comparison.comparators]
    return any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)


def definitions() -> dict[str, Any]:
    """The functions and classes that the main program has defined."""
    return {
        name: value
        for name, value in list(vars(sys.modules["__main__"]).items())
        if isinstance(value, (FunctionType, type, *NAMED_ALONE)) and value.__module__ == "__main__"
    }


def define(received: dict[str, Any], missing: dict[str, str]) -> None:
    """In the process: let the main program have these. missing: why it lacks others."""
    main = sys.modules["__main__"]
    vars(main).update(received)
    vars(main).setdefault("__getattr__", functools.partial(_look_up, missing))
    sys.modules["__mp_main__"] = main


def _look_up(missing: dict[str, str], name: str) -> object:
    # Pickle would keep the words of an AttributeError for itself.
    if name in missing:
        raise pickle.UnpicklingError(
            f"{name} of the main program could not be sent to this process: {missing[name]}; "
            + HOW_TO_RUN_IT
        )
    asks = sys._getframe(1).f_globals.get("__name__", "")
    if asks.startswith("multiprocessing.") and not name.startswith("__"):
        raise pickle.UnpicklingError(
            f"the main program had not defined {name} when this process was started: make the pool, or the "
            "process, after that"
        )
    raise AttributeError(f"module '__main__' has no attribute {name!r}")
