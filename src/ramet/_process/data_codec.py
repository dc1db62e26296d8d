"""Values as data, which can be read safely from a child that is not trusted.

The format is JSON. An object with a single name that begins with a dollar is a value of another type. Large
values (bytes, bytearrays, arrays) are in buffers beside the text, which refers to them in order. So
reading makes values of the types below only, imports nothing that the text names, and uses memory in
proportion to what was sent. Types are exact: a subclass is refused, since its code would be lost, and so
is a container that holds itself.

Why JSON: its reader is in the standard library, is written in C, and has been tried with hostile text for
fifteen years. It is slower than pickle: 2 to 20 times for reading, up to 50 for writing, at most 3 us
an item, and as fast for buffers. msgpack takes 1 to 2.5 times as long as pickle, and as long as
this for types that it does not know itself; it would be a dependency. With marshal and pickle, even with a
list of allowed classes, nine bytes can allocate half a gigabyte.
"""

import json
import re
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

__all__ = ["DataError", "decoded", "encoded"]

_DEEPEST = 100  # levels; the reader itself would take a thousand
_SHORT_BYTES = 64  # up to so many are in the text, more in a buffer
# As few digits as sys.set_int_max_str_digits() always allows; longer ints are written in hexadecimal.
_DECIMAL_BITS = 2048
_MOST_OF_ONE_HASH = 1000  # the time for keys with equal hashes grows with their square
_AS_THEY_ARE = frozenset({bool, float, str, type(None)})
_ARRAY_TYPES = frozenset("bBhHiIlLqQfd")
# numpy's types of plain memory: no objects, no fields.
_NUMPY_TYPE = re.compile(r"[<>|][biufcSU][0-9]{1,9}|[<>][mM]8(\[[0-9]{0,9}[a-zA-Z]{1,2}\])?")


class DataError(ValueError):
    """The value is not data, or the text was not written by this codec."""


# ---- writing


def encoded(value: object) -> tuple[bytes, list[memoryview]]:
    """The value as text, and the buffers beside it. Raises DataError when it is not data."""
    buffers: list[memoryview] = []
    tree = _tree(value, buffers, 0)
    text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"), check_circular=False)
    return text.encode("utf-8", "surrogatepass"), buffers


def _tree(value: Any, buffers: list[memoryview], depth: int) -> Any:
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is int:
        return value if value.bit_length() <= _DECIMAL_BITS else {"$int": f"{value:x}"}
    if depth >= _DEEPEST:
        raise DataError(f"the value is nested deeper than {_DEEPEST} levels, or holds itself")
    if kind is list:
        return _items(value, buffers, depth)
    if kind is dict and not _is_ambiguous(value):
        return dict(zip(value, _items(list(value.values()), buffers, depth), strict=True))
    contents = _CONTAINERS.get(kind)
    if contents is not None:
        return {f"${kind.__name__}": _items(list(contents(value)), buffers, depth)}
    write = _WRITERS.get(f"{kind.__module__}.{kind.__qualname__}")
    if write is None and _is_of_numpy(value):
        write = _write_numpy
    if write is None:
        raise DataError(f"a {kind.__module__}.{kind.__qualname__} is not data: {_KNOWN}")
    return write(value, buffers)


def _items(values: list[Any], buffers: list[memoryview], depth: int) -> list[Any]:
    kinds = set(map(type, values))
    if kinds <= _AS_THEY_ARE or (
        kinds == {int} and max(map(int.bit_length, values)) <= _DECIMAL_BITS
    ):
        return values
    return [_tree(item, buffers, depth + 1) for item in values]


def _is_ambiguous(value: dict[Any, Any]) -> bool:
    """Whether JSON has no such object, or would read it as a type."""
    if not set(map(type, value)) <= {str}:
        return True
    return len(value) == 1 and next(iter(value)).startswith("$")


def _pairs(value: dict[Any, Any]) -> Iterator[Any]:
    for key, item in value.items():
        yield key
        yield item


_CONTAINERS: Mapping[type, Callable[[Any], Iterable[Any]]] = {
    tuple: iter,
    set: iter,
    frozenset: iter,
    dict: _pairs,
}


def _write_bytes(value: bytes, buffers: list[memoryview]) -> Any:
    if len(value) <= _SHORT_BYTES:
        return {"$bytes": value.decode("latin-1")}
    buffers.append(memoryview(value))
    return {"$bytes": None}


def _write_bytearray(value: bytearray, buffers: list[memoryview]) -> Any:
    buffers.append(memoryview(value))
    return {"$bytearray": None}


def _write_array(value: Any, buffers: list[memoryview]) -> Any:
    if value.typecode not in _ARRAY_TYPES:
        raise DataError(f"an array of type {value.typecode!r} is not data")
    buffers.append(memoryview(value).cast("B"))
    return {"$array": value.typecode}


def _write_date_and_time(value: Any, _: list[memoryview]) -> Any:
    """Only time zones with a fixed difference from UTC: any other has rules, which are code."""
    zone = value.tzinfo
    if zone is not None and f"{type(zone).__module__}.{type(zone).__qualname__}" != (
        "datetime.timezone"
    ):
        raise DataError(
            f"a time in {zone!r} is not data: convert it to UTC or to a datetime.timezone"
        )
    return {f"${type(value).__name__}": [value.isoformat(), value.fold]}


def _is_of_numpy(value: object) -> bool:
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and (type(value) is numpy.ndarray or isinstance(value, numpy.generic))


def _write_numpy(value: Any, buffers: list[memoryview]) -> Any:
    numpy = sys.modules["numpy"]
    dtype = value.dtype
    if not _NUMPY_TYPE.fullmatch(dtype.str):
        raise DataError(f"an array of {dtype} is not data: expected numbers, times, bytes or text")
    shape = list(value.shape) if type(value) is numpy.ndarray else None
    buffers.append(memoryview(value.tobytes()))
    return {"$numpy": [dtype.str, shape]}


_WRITERS: Mapping[str, Callable[[Any, list[memoryview]], Any]] = {
    "builtins.bytes": _write_bytes,
    "builtins.bytearray": _write_bytearray,
    "builtins.complex": lambda value, _: {"$complex": [value.real, value.imag]},
    "array.array": _write_array,
    "datetime.date": lambda value, _: {"$date": value.isoformat()},
    "datetime.time": _write_date_and_time,
    "datetime.datetime": _write_date_and_time,
    "datetime.timedelta": lambda value, _: {
        "$timedelta": [value.days, value.seconds, value.microseconds]
    },
    "decimal.Decimal": lambda value, _: {"$Decimal": str(value)},
}

_KNOWN = (
    "data is None, numbers, text, bytes, lists, tuples, dicts, sets, dates and times, bytearrays, "
    "arrays, and arrays of numpy"
)


# ---- reading


def decoded(text: bytes, buffers: Iterable[memoryview]) -> Any:
    """The value, copied from text and buffers. Raises DataError for text of another format."""
    try:
        reader = _Reader(buffers)
        value = json.loads(text.decode("utf-8", "surrogatepass"), object_hook=reader.made)
        reader.require_all_taken()
    except DataError:
        raise
    except Exception as error:  # of impossible values, too, such as a date of the year 0
        raise DataError(f"{type(error).__name__}: {error}") from None
    return value


class _Reader:
    def __init__(self, buffers: Iterable[memoryview]) -> None:
        self._buffers = iter(buffers)

    def made(self, members: dict[str, Any]) -> Any:
        """The value of one JSON object."""
        if len(members) != 1:
            return members
        ((name, content),) = members.items()
        if not name.startswith("$"):
            return members
        read = _READERS.get(name)
        if read is None:
            raise DataError(f"unknown type {name[:32]!r}")
        return read(content, self._next)

    def _next(self) -> memoryview:
        buffer = next(self._buffers, None)
        if buffer is None:
            raise DataError("the text refers to more buffers than were sent")
        return buffer

    def require_all_taken(self) -> None:
        if next(self._buffers, None) is not None:
            raise DataError("the text refers to fewer buffers than were sent")


_Next = Callable[[], memoryview]


def _hashed(items: list[Any]) -> list[Any]:
    if len(items) - len(set(map(hash, items))) > _MOST_OF_ONE_HASH:
        raise DataError("too many keys have the same hash")
    return items


def _list(content: Any) -> list[Any]:
    if type(content) is not list:
        raise DataError(f"expected a list, got a {type(content).__name__}")
    return content


def _text(content: Any) -> str:
    if type(content) is not str:
        raise DataError(f"expected text, got a {type(content).__name__}")
    return content


def _read_dict(content: Any, _: _Next) -> dict[Any, Any]:
    items = _list(content)
    return dict(zip(_hashed(items[::2]), items[1::2], strict=True))


def _read_bytes(content: Any, following: _Next) -> bytes:
    return bytes(following()) if content is None else _text(content).encode("latin-1")


def _read_array(content: Any, following: _Next) -> Any:
    if _text(content) not in _ARRAY_TYPES:
        raise DataError(f"unknown array type {content[:8]!r}")
    made = array(content)
    made.frombytes(following())
    return made


def _read_complex(content: Any, _: _Next) -> complex:
    real, imaginary = map(float, _list(content))
    return complex(real, imaginary)


def _read_date_and_time(kind: str) -> Callable[[Any, _Next], Any]:
    def read(content: Any, _: _Next) -> Any:
        import datetime as dt

        text, fold = _list(content)
        return getattr(dt, kind).fromisoformat(_text(text)).replace(fold=fold)

    return read


def _read_date(content: Any, _: _Next) -> Any:
    import datetime as dt

    return dt.date.fromisoformat(_text(content))


def _read_timedelta(content: Any, _: _Next) -> Any:
    import datetime as dt

    days, seconds, microseconds = map(int, _list(content))
    return dt.timedelta(days, seconds, microseconds)


def _read_decimal(content: Any, _: _Next) -> Any:
    import decimal

    return decimal.Decimal(_text(content))


def _read_numpy(content: Any, following: _Next) -> Any:
    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        raise DataError("the value holds a numpy array, and numpy is not imported in this process")
    name, shape = _list(content)
    if not _NUMPY_TYPE.fullmatch(_text(name)):
        raise DataError(f"unknown numpy type {name[:32]!r}")
    flat = numpy.frombuffer(bytearray(following()), numpy.dtype(name))
    if shape is not None:
        return flat.reshape([*map(int, _list(shape))])
    (scalar,) = flat
    return scalar


_READERS: Mapping[str, Callable[[Any, _Next], Any]] = {
    "$int": lambda content, _: int(_text(content), 16),
    "$tuple": lambda content, _: tuple(_list(content)),
    "$set": lambda content, _: set(_hashed(_list(content))),
    "$frozenset": lambda content, _: frozenset(_hashed(_list(content))),
    "$dict": _read_dict,
    "$bytes": _read_bytes,
    "$bytearray": lambda _, following: bytearray(following()),
    "$array": _read_array,
    "$complex": _read_complex,
    "$date": _read_date,
    "$time": _read_date_and_time("time"),
    "$datetime": _read_date_and_time("datetime"),
    "$timedelta": _read_timedelta,
    "$Decimal": _read_decimal,
    "$numpy": _read_numpy,
}
