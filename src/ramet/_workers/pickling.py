"""Calls and outcomes as pickles: by plain pickle where that is right, by cloudpickle else.

A function that is found by its name, with plain arguments, needs none: see native/python/named_call.c.

Plain pickle names functions and classes. What is defined in ``__main__`` has another meaning in a template,
whose main module is its own: so what names it is pickled by value, as lambdas and closures are.
"""

import pickle
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from io import BytesIO
from types import CodeType, FunctionType
from typing import Any

from .._core import named_call, plain_value
from .._process.result_layout import in_words
from .by_value import by_value_pickler

_PROTOCOL = 5
FIRST_OF_PICKLE = 0x80  # of protocol 2 and later; what is plain begins with a letter
_CLOUDPICKLE = b"cloudpickle"  # the module of what makes the function
_PLACE_OF_FUNCTION = 64  # bytes, among which that is named
_BY_NAME_IN_MAIN = b"__main__"
_HOW_TO_INSTALL = (
    "lambdas, closures, and what __main__ defines cross by cloudpickle: install ramet[workers]"
)


def pickled(value: object) -> tuple[Any, ...]:
    """The pickle, and the buffers that lie outside of it. Raises what pickle raises."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(value, _PROTOCOL, buffer_callback=buffers.append)
        if _BY_NAME_IN_MAIN not in data:
            return (data, *_raw(buffers))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        by_value = _by_value()
        if by_value is None:
            error.add_note(_HOW_TO_INSTALL)
            raise
    else:
        by_value = _by_value()
        if by_value is None:
            raise pickle.PicklingError(f"it refers to what __main__ defines; {_HOW_TO_INSTALL}")
    buffers.clear()
    data = by_value(value, _PROTOCOL, buffers.append)
    return (data, *_raw(buffers))


def _by_value() -> Callable[..., bytes] | None:
    """As pickle.dumps(), by value; None where cloudpickle is not installed."""
    pickler = by_value_pickler()
    if pickler is None:
        return None

    def dumps(value: object, protocol: int, keep: Callable[[Any], object]) -> bytes:
        stream = BytesIO()
        pickler(stream, protocol, buffer_callback=keep).dump(value)
        return stream.getvalue()

    return dumps


def _raw(buffers: Sequence[pickle.PickleBuffer]) -> list[memoryview]:
    return [buffer.raw() for buffer in buffers]


def loaded(parts: Sequence[Any]) -> Any:
    """The object of a pickle and its buffers."""
    data, *buffers = parts
    return pickle.loads(data, buffers=buffers)


def pickled_call(fn: Callable[..., object], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The call, for the child. Raises TypeError, a ValueError of pickle's, with what cannot cross."""
    call = named_call(fn, args)
    if call is not None:
        return (call,)
    try:
        return pickled((fn, args))
    except Exception as error:
        raise _refused(fn, args, error) from error


def is_by_value(pickle: bytes) -> bool:
    """Whether cloudpickle is to make the function of a pickled call."""
    return _CLOUDPICKLE in pickle[:_PLACE_OF_FUNCTION]


def loaded_call(parts: Sequence[Any]) -> tuple[Callable[..., object], tuple[Any, ...]]:
    """In the child: the function and its arguments."""
    if parts[0][0] == FIRST_OF_PICKLE:
        call: tuple[Callable[..., object], tuple[Any, ...]] = loaded(parts)
        return call
    module, name, args = plain_value(parts[0])
    home = sys.modules.get(module) or import_module(module)
    return getattr(home, name), args


def _refused(fn: Callable[..., object], args: tuple[Any, ...], error: Exception) -> Exception:
    """The same, that says which of them it is."""
    for what, value in [("the function", fn), *((f"argument {i}", a) for i, a in enumerate(args))]:
        try:
            pickled(value)
        except Exception as own:
            from reprlib import repr as shortened

            is_function = isinstance(value, FunctionType)
            name = value.__qualname__ if is_function else shortened(value)
            culprit = _culprit(value) if is_function else ""
            return TypeError(
                f"invalid call: expected what can be pickled, got {what} {name}{culprit}: "
                f"{in_words(own)}"
            )
    return TypeError(f"invalid call: it cannot be pickled: {in_words(error)}")


def _culprit(fn: FunctionType) -> str:
    """Which of the values that go with a function that is sent by value cannot be pickled."""
    known = {
        name: ("global", fn.__globals__[name])
        for name in _names_in(fn.__code__) & fn.__globals__.keys()
    }
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        with suppress(ValueError):  # it has no value yet
            known[name] = ("variable", cell.cell_contents)
    for name, (kind, value) in known.items():
        try:
            pickled(value)
        except Exception:
            return f", of which the {kind} {name!r} cannot be"
    return ""


def _names_in(code: CodeType) -> set[str]:
    """Those that it may look up, and functions in it."""
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))
