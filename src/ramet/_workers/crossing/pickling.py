"""Calls and outcomes as pickles: by plain pickle where that is right, by cloudpickle else.

A function that is found by its name, with plain arguments, needs none: see native/python/named_call.c.

Plain pickle names functions and classes. What is defined in ``__main__`` has another meaning in a template,
whose main module is its own: so what names it is pickled by value, as lambdas and closures are.
"""

import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from io import BytesIO
from types import CodeType, FunctionType, MethodType
from typing import Any

from ..._core import named_call, plain_bytes, plain_value
from ..._kernel.signal_handlers import is_from_handler
from ..._process.result_layout import in_words
from ..._process.tensors import dumps
from .by_value import by_value_pickler
from .methods_by_name import without_state

_PROTOCOL = 5
FIRST_OF_PICKLE = 0x80  # of protocol 2 and later; what is plain begins with a letter
_CLOUDPICKLE = b"cloudpickle"  # the module of what makes the function
_MOST_ALONE = 1 << 14  # bytes, as CORE_MOST_PLAIN_BYTES of native/python/plain_values.h
_PLACE_OF_FUNCTION = 64  # bytes, among which that is named
_BY_NAME_IN_MAIN = b"__main__"
_OF_CONNECTIONS = b"multiprocessing.connection"
_MULTIPROCESSING = b"multiprocessing"  # whose key goes with a call, see caller_state.authkey()
_HOW_TO_INSTALL = (
    "lambdas, closures, and what __main__ defines cross by cloudpickle: install ramet[workers]"
)
_TO_A_MODULE = "; put it into a module, which each call imports"


class Batch:
    """A function that makes several calls, of which an error can name the one that cannot be pickled."""

    def calls(self) -> Sequence[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]]:
        """Their functions, arguments and keyword arguments."""
        raise NotImplementedError


def pickled(value: object) -> tuple[Any, ...]:
    """The pickle, and the buffers that lie outside of it. Raises what pickle raises."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = dumps(value, buffers.append)
        if _OF_CONNECTIONS in data:
            _refuse_connections(value, pickle.Pickler)
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
    if _OF_CONNECTIONS in data:
        _refuse_connections(value, by_value_pickler())
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


def _refuse_connections(value: object, pickler: Any) -> None:
    """Raise TypeError for a Connection of multiprocessing, of which pickle writes the descriptor's number.

    In another process that is another file's, or none.
    """
    from multiprocessing.connection import Connection

    class Refusing(pickler):  # type: ignore[misc] # whichever it is
        def reducer_override(self, part: Any) -> Any:
            if isinstance(part, Connection):
                raise TypeError(
                    "a Connection of multiprocessing has a descriptor, which does not cross with a call; "
                    "give it to a Process of ramet.multiprocessing.context()"
                )
            return (
                super().reducer_override(part)
                if hasattr(pickler, "reducer_override")
                else NotImplemented
            )

    Refusing(BytesIO(), _PROTOCOL, buffer_callback=lambda _: None).dump(value)


def _raw(buffers: Sequence[pickle.PickleBuffer]) -> list[memoryview]:
    return [buffer.raw() for buffer in buffers]


def loaded(parts: Sequence[Any]) -> Any:
    """The object of a pickle and its buffers."""
    data, *buffers = parts
    return pickle.loads(data, buffers=buffers)


class _Short(BytesIO):
    """Takes no more than a plain value may have: a longer pickle is given up, and not made twice."""

    def write(self, data: Any, /) -> int:
        if self.tell() + memoryview(data).nbytes > _MOST_ALONE:
            raise ValueError("the pickle is too long")
        return super().write(data)


def _refuse_buffer(_: object) -> None:
    raise ValueError("the pickle has a buffer outside of it")


class CallByValue(tuple[bytes]):  # noqa: SLOT001 - what it is made of goes with it
    """The call of a function by value, its pickle, with plain arguments: one that a template may keep.

    function: the pickle of it alone.
    """

    function: bytes
    args: tuple[Any, ...]
    keywords: dict[str, Any]


def light_call(
    fn: Callable[..., object], args: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[bytes] | None:
    """The call, for the child, with plain arguments of a function alone; None for any other."""
    call = named_call(fn, args, keywords)
    if call is not None:
        return (call,)
    if type(fn) is FunctionType and plain_bytes((args, keywords)) is not None:
        return _by_value_alone(fn, args, keywords)
    return None


def _by_value_alone(
    fn: FunctionType, args: tuple[Any, ...], keywords: dict[str, Any]
) -> CallByValue | None:
    """None where it cannot be, or needs more than its pickle."""
    pickler = by_value_pickler()
    if pickler is None:
        return None
    try:
        pickler(stream := _Short(), _PROTOCOL, buffer_callback=_refuse_buffer).dump(fn)
    except Exception as error:
        if is_from_handler(error):
            raise
        return None  # who pickles all of the call says why
    function = stream.getvalue()
    if not is_by_value(function) or _MULTIPROCESSING in function:
        return None
    written = plain_bytes((None, function, args, keywords))
    if written is None:
        return None
    call = CallByValue((written,))
    call.function, call.args, call.keywords = function, args, keywords
    return call


def pickled_call(
    fn: Callable[..., object],
    args: tuple[Any, ...],
    told: Callable[[], Iterable[tuple[str, object]]] | None = None,
) -> tuple[Any, ...]:
    """The call, for the child. Raises TypeError, a ValueError of pickle's, with what cannot cross.

    told: as handed_over(), of a call that its caller has made in another form.
    """
    call = light_call(fn, args, {})
    if call is not None:
        return call
    try:
        return pickled((without_state(fn), tuple(map(without_state, args))))
    except Exception as error:
        if is_from_handler(error):
            raise
        parts = handed_over(fn, args, {}) if told is None else told()
        raise _refused(parts, error) from error


def is_by_value(pickle: bytes) -> bool:
    """Whether cloudpickle is to make the function of a pickled call."""
    return _CLOUDPICKLE in pickle[:_PLACE_OF_FUNCTION]


def loaded_call(parts: Sequence[Any]) -> tuple[Callable[..., object], tuple[Any, ...]]:
    """In the child: the function and its arguments."""
    if parts[0][0] == FIRST_OF_PICKLE:
        call: tuple[Callable[..., object], tuple[Any, ...]] = loaded(parts)
        return call
    module, name, args, *keywords = plain_value(parts[0])
    fn = pickle.loads(name) if module is None else _found(module, name)
    return partial(fn, **keywords[0]) if keywords and keywords[0] else fn, args


def _found(module: str, name: str) -> Any:
    return getattr(sys.modules.get(module) or import_module(module), name)


def _refused(parts: Iterable[tuple[str, object]], error: Exception) -> Exception:
    """A TypeError for that error, which names the first of the parts that cannot be pickled."""
    for what, value in parts:
        own = _refusal_of(value)
        if own is not None:
            name, (culprit, remedy) = _name_of(value), _culprit(value)
            why, line_end, notes = in_words(own).partition("\n")
            return TypeError(
                f"invalid call: expected what can be pickled, got {what} {name}{culprit}: "
                f"{why}{remedy}{line_end}{notes}"
            )
    return TypeError(f"invalid call: it cannot be pickled: {in_words(error)}")


def _refusal_of(value: object) -> Exception | None:
    """Why it cannot be pickled; None where it can."""
    try:
        pickled(value)
    except Exception as error:
        if is_from_handler(error):
            raise
        return error
    return None


def handed_over(
    fn: Callable[..., object], args: tuple[Any, ...], named: dict[str, Any]
) -> Iterator[tuple[str, object]]:
    """What crosses with a call, or with each call of a batch, and what it is there."""
    if isinstance(fn, Batch):
        for call in fn.calls():
            yield from handed_over(*call)
    yield "the function", fn
    yield from ((f"argument {i}", value) for i, value in enumerate(args))
    yield from ((f"argument {name!r}", value) for name, value in named.items())


def _name_of(value: object) -> str:
    if isinstance(value, FunctionType):
        return value.__qualname__
    if isinstance(value, MethodType) and isinstance(value.__func__, FunctionType):
        return value.__func__.__qualname__
    from reprlib import repr as shortened

    return shortened(value)


def _culprit(value: object) -> tuple[str, str]:
    """What of it cannot be pickled, in words, and what to do about that; empty where it is not known."""
    for kind, name, part, remedy in _parts(value):
        if _refusal_of(part) is not None:
            return f", of which the {kind} {name!r} cannot be", remedy
    return "", ""


def _parts(value: object) -> Iterator[tuple[str, str, object, str]]:
    """What goes with it: the kind of each, its name, and what to do where it cannot."""
    if isinstance(value, MethodType):
        yield from _attributes(value.__self__)
        value = value.__func__
    if isinstance(value, FunctionType):
        yield from _globals(value)
        yield from _variables(value)
    else:
        yield from _attributes(value)


def _globals(fn: FunctionType) -> Iterator[tuple[str, str, object, str]]:
    remedy = _TO_A_MODULE if fn.__globals__.get("__name__") == "__main__" else ""
    for name in sorted(_names_in(fn.__code__) & fn.__globals__.keys()):
        yield "global", name, fn.__globals__[name], remedy


def _variables(fn: FunctionType) -> Iterator[tuple[str, str, object, str]]:
    # One that a decorator has made, as functools.singledispatch, is found there by its name.
    is_of_main = getattr(sys.modules.get("__main__"), fn.__qualname__, None) is fn
    remedy = _TO_A_MODULE if is_of_main else ""
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        with suppress(ValueError):  # it has no value yet
            yield "variable", name, cell.cell_contents, remedy


def _attributes(value: object) -> Iterator[tuple[str, str, object, str]]:
    """Those that pickle takes: a class may leave out the others."""
    state: object = None
    with suppress(Exception):  # of what cannot be pickled as a whole
        state = value.__reduce_ex__(_PROTOCOL)[2]
    for names in state if isinstance(state, tuple) else (state,):
        if isinstance(names, dict):
            yield from (("attribute", str(name), part, "") for name, part in names.items())


def _names_in(code: CodeType) -> set[str]:
    """Those that it may look up, and functions in it."""
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))
