"""Functions that a template was given by value, once, and that its clones have by names in this module.

A call names them as it names a function of any other module: see native/python/named_call.c.
"""

import pickle
import sys
from collections.abc import Callable
from io import BytesIO
from types import CodeType, ModuleType
from typing import Any, ClassVar

_OF_CLOUDPICKLE = "cloudpickle.cloudpickle"
# What it makes functions of: code, cells, and modules.
_MAKERS = (
    "_builtin_type",
    "_function_setstate",
    "_make_cell",
    "_make_empty_cell",
    "_make_function",
)
_IMPORTS = "subimport"
_CALLS = pickle.REDUCE[0]
_MAKE_OBJECTS = b"".join((pickle.BUILD, pickle.INST, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.OBJ))


class _OfFunctions(pickle._Unpickler):
    """Makes functions and plain values alone, and imports nothing.

    What a call may do as it is read, a template must not: the end of the process, a thread or a connection
    would be that of all calls. So it calls nothing of the classes and functions that are named.
    """

    stack: list[Any]
    dispatch: ClassVar[dict[int, Callable[..., None]]] = {**pickle._Unpickler.dispatch}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (_OF_CLOUDPICKLE, _IMPORTS):
            return _imported
        _imported(module)
        return super().find_class(module, name)

    def _call(self) -> None:
        called = self.stack[-2]
        of_cloudpickle = vars(sys.modules[_OF_CLOUDPICKLE])
        makers = [_imported, CodeType, *(of_cloudpickle.get(name) for name in _MAKERS)]
        if not any(called is one for one in makers):
            raise pickle.UnpicklingError(f"expected a function alone, got what {called!r} makes")
        pickle._Unpickler.dispatch[_CALLS](self)  # type: ignore[arg-type] # not of the public class

    def _refuse(self) -> None:
        raise pickle.UnpicklingError("expected a function alone, got objects of classes")

    dispatch |= {_CALLS: _call, **dict.fromkeys(_MAKE_OBJECTS, _refuse)}


def _imported(name: str) -> ModuleType:
    return sys.modules[name]


def keep(name: str, function: bytes) -> None:
    """In a template: have it from here on. Raises an error of any kind where it is more than a function."""
    globals()[name] = _OfFunctions(BytesIO(function)).load()
