"""A call of a function in a subinterpreter: what is pickled, and what memory is lent.

Two interpreters can share memory, but no objects. So the call is pickled, and objects with the buffer
protocol (bytes apart, which are pickled) are lent: the subinterpreter has a memoryview of their memory.
in_subinterpreter.py is the code that runs there.
"""

import functools
import importlib.util
import io
import marshal
import os
import pickle
import re
import sys
from collections.abc import Callable
from importlib.abc import InspectLoader
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from .._process import result_layout
from .._process.result_channel import ResultChannel
from .main_program import MAIN, MainFunctions, global_names

Main = tuple[str, str]

_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set})
_FIELD_NAME = re.compile(":[^:]*:")  # in a format of the buffer protocol


class Call(NamedTuple):
    """The code that runs in the subinterpreter, and the memory that it gets."""

    child_code: bytes
    memory: tuple[object, ...]


def prepared(
    fn: Callable[..., object], args: tuple[object, ...], channel: ResultChannel, name: str | None
) -> Call:
    """Pack the call ``fn(*args)``. channel: for its outcome; name: of the task.

    Raises TypeError for what cannot be pickled.
    """
    main = _main()
    stream = io.BytesIO()
    pickler = _Pickler(stream, main)
    try:
        pickler.dump((fn, args))
    except Exception as error:
        raise TypeError(
            f"fn and its arguments must be picklable for a subinterpreter: {error}"
        ) from error
    settings = {
        "path": list(map(str, sys.path)),
        "argv": list(map(str, sys.argv)),
        "environment": dict(os.environb),
        "main": main,
        "functions": pickler.main_functions.functions,
        "names": pickler.main_functions.names,
        "name": name,
    }
    if main is not None:  # results of __mp_main__'s classes are unpickled as classes of __main__
        sys.modules.setdefault("__mp_main__", sys.modules["__main__"])
    memory = (marshal.dumps(settings), stream.getvalue(), channel, *pickler.lent)
    return Call(_child_code(), memory)


class _Pickler(pickle.Pickler):
    def __init__(self, stream: io.BytesIO, main: Main | None) -> None:
        super().__init__(stream, protocol=5)
        self.lent: list[object] = []
        self.main_functions = MainFunctions()
        self._places: dict[int, int] = {}
        self._main = main

    def persistent_id(self, obj: Any) -> Any:
        """None for pickled objects; the index of lent ones; the code of functions that no name leads to."""
        if type(obj) in _PLAIN or isinstance(obj, bytes):
            return None
        if isinstance(obj, FunctionType):
            return self._function(obj)
        if _is_number(obj):
            return None
        return self._place_of(obj) if hasattr(type(obj), "__buffer__") else None

    def reducer_override(self, obj: Any) -> Any:
        """Numpy's numbers as Python's: numpy cannot be imported there."""
        if not _is_number(obj):
            return NotImplemented
        value = obj.item()
        return type(value), (value,)

    def _function(self, fn: FunctionType) -> Any:
        if fn.__module__ == MAIN and self._main is not None:
            number = self.main_functions.number_of(fn)
            if number is not None:
                return (number,)
        return None if self._is_found_by_name(fn) else self._by_code(fn)

    def _place_of(self, owner: Any) -> int:
        place = self._places.get(id(owner))
        if place is None:
            _refuse_references(owner)
            place = self._places[id(owner)] = len(self.lent)
            self.lent.append(owner)
        return place

    def _is_found_by_name(self, fn: FunctionType) -> bool:
        if fn.__module__ == "__main__" and self._main is None:
            return False
        found: Any = sys.modules.get(fn.__module__)
        for name in fn.__qualname__.split("."):
            found = getattr(found, name, None)
        return found is fn

    def _by_code(self, fn: FunctionType) -> tuple[object, ...]:
        if fn.__closure__:
            raise pickle.PicklingError(f"{fn!r} has a closure, and cannot be imported by name")
        module: str | None = fn.__module__
        if module == "__main__" and self._main is None:
            _refuse_globals(fn)
            module = None
        code = marshal.dumps(fn.__code__)
        return code, module, fn.__name__, fn.__defaults__, fn.__kwdefaults__


def _is_number(value: Any) -> bool:
    """Whether it is a number of numpy that Python has a type for."""
    numpy: Any = sys.modules.get("numpy")
    return (
        numpy is not None
        and isinstance(value, (numpy.number, numpy.bool_))
        and type(value.item()) in {bool, int, float, complex}
    )


def _refuse_references(owner: Any) -> None:
    """PicklingError for an array of objects: its memory holds their addresses."""
    with memoryview(owner) as view:
        if "O" in _FIELD_NAME.sub("", view.format):
            raise pickle.PicklingError(
                f"a {type(owner).__name__} of objects cannot be lent: its memory holds references"
            )


def _refuse_globals(fn: FunctionType) -> None:
    """PicklingError for a function that uses globals of a __main__ without a file."""
    missing = sorted(set(global_names(fn.__code__)) & (fn.__globals__.keys() - {"__name__"}))
    if missing:
        raise pickle.PicklingError(
            f"{fn!r} uses {', '.join(missing)} of a __main__ that has no file to run again"
        )


def _main() -> Main | None:
    """How to run the main module again; None for that of a prompt, of -c, or of stdin."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return "module", spec.name
    file = getattr(main, "__file__", None)
    return None if file is None or not os.path.isfile(file) else ("path", os.path.abspath(file))


@functools.cache
def _child_code() -> bytes:
    return marshal.dumps(
        (_code_of(result_layout.__name__), _code_of(f"{__package__}.in_subinterpreter"))
    )


def _code_of(name: str) -> CodeType:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert isinstance(spec.loader, InspectLoader)
    code = spec.loader.get_code(name)
    assert code is not None
    return code
