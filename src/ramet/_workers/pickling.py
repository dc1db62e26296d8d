"""Calls and outcomes as pickles: by plain pickle where that is right, by cloudpickle else.

Plain pickle names functions and classes. What is defined in ``__main__`` has another meaning in a template,
whose main module is its own: so what names it is pickled by value, as lambdas and closures are.
"""

import pickle
from collections.abc import Callable, Sequence
from typing import Any

from .._process.result_layout import in_words

_PROTOCOL = 5
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
    """cloudpickle.dumps(); None where it is not installed."""
    try:
        from cloudpickle import dumps
    except ImportError:
        return None
    return dumps  # type: ignore[no-any-return, unused-ignore]


def _raw(buffers: Sequence[pickle.PickleBuffer]) -> list[memoryview]:
    return [buffer.raw() for buffer in buffers]


def loaded(parts: Sequence[Any]) -> Any:
    """The object of a pickle and its buffers."""
    data, *buffers = parts
    return pickle.loads(data, buffers=buffers)


def pickled_call(fn: Callable[..., object], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The call, for the child. Raises TypeError, a ValueError of pickle's, with what cannot cross."""
    try:
        return pickled((fn, args))
    except Exception as error:
        raise _refused(fn, args, error) from error


def _refused(fn: Callable[..., object], args: tuple[Any, ...], error: Exception) -> Exception:
    """The same, that says which of them it is."""
    for what, value in [("the function", fn), *((f"argument {i}", a) for i, a in enumerate(args))]:
        try:
            pickled(value)
        except Exception as own:
            notes = "".join(f"; {note}" for note in getattr(own, "__notes__", ()))
            from reprlib import repr as shortened

            return TypeError(
                f"invalid call: expected what can be pickled, got {what} {shortened(value)}: "
                f"{in_words(own)}{notes}"
            )
    return TypeError(f"invalid call: it cannot be pickled: {in_words(error)}")
