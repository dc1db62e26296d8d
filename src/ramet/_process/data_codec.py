"""Values as data, which can be read safely from a child that is not trusted.

The format is JSON. An object with a single name that begins with a dollar is a value of another type. Large
values (bytes, bytearrays, arrays) are in buffers beside the text, which refers to them in order. So
reading makes values of the types below only, and imports nothing that the text names. Types are exact: a
subclass is refused, since its code would be lost, and so is a container that holds itself. An exception is
no data, and what it tells is: a RemoteError stands for it.

What it takes to read a text is known before anything is made of it: its levels, its longest number, and
how many bytes of memory it needs at most. Two bytes of text can need 90: a list in a list. Time grows with
the size alone: keys that were chosen to lie in each other's way are noticed, which a clone can do with
texts as well, since it has its caller's hash seed. json's reader builds dicts by itself: so only small ones
are objects of JSON, with few different names in all.

Why JSON: its reader is in the standard library, is written in C, and has been tried with hostile text for
fifteen years. It is slower than pickle: 2 to 20 times for reading, up to 50 for writing, at most 3 us
an item, and as fast for buffers. msgpack takes 1 to 2.5 times as long as pickle, and as long as
this for types that it does not know itself; it would be a dependency. With marshal and pickle, even with a
list of allowed classes, nine bytes can allocate half a gigabyte.
"""

import json
import math
import re
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import thread_time
from typing import Any

from .._core import json_needs
from .._kernel.signal_handlers import is_from_handler
from . import result_layout
from .remote_error import remote_error

__all__ = ["MOST_BYTES", "DataError", "decoded", "encoded", "loaded_json", "texts_of"]

# Of memory that a value may take while it is read, with all that is made for that.
MOST_BYTES = 1 << 30
_MOST_BYTES_OF_TEXTS = 1 << 26  # the same, of what goes with an exception and the like
_DEEPEST = 100  # levels of a value
_MOST_LEVELS = 250  # of brackets: two for a level, and some more
_LONGEST_NUMBER = 640  # letters; time and memory for more digits grow with their square
_MOST_MEMBERS = 64  # of an object of JSON

_dumps = json.dumps  # as it is before a test that runs in a clone replaces it
_MOST_NAMES = 1000  # different ones in all objects
# Of a Decimal, as decimal's default context has it; int() writes out all zeros.
_FARTHEST_EXPONENT = 1_000_026
_SHORT_BYTES = 64  # up to so many are in the text, more in a buffer
# As few digits as sys.set_int_max_str_digits() always allows; longer ints are written in hexadecimal.
_DECIMAL_BITS = 2048
_KEYS_AT_ONCE = 64
_PATIENCE_SECONDS = 0.1  # for the keys of sets and dicts, and in proportion to what else takes time
_PATIENCE_RATIO = 10
_PATIENCE_FOR_A_KEY = 3e-6  # seconds, and no more: what goes before may be long to no purpose
_MOST_DIMENSIONS = 64  # of an array of numpy
_BYTES_OF_BUFFER = 400  # of what stands for one, at most
_BYTES_OF_KEY = 140  # in a set or a dict, while it grows
_BYTES_OF_LIST = 64  # that is empty, with its place in another
_BYTES_OF_EXCEPTION = 2048  # that stands for one, without its texts
_BYTES_OF_ESCAPED = 40  # a letter of these, which is ten then, and as wide as others
_BYTES_TO_ESCAPE = 400  # a letter, meanwhile
_MOST_LETTERS = result_layout.MOST_LETTERS + 100  # a text that was shortened says so
_BYTES_OF_PLACE = 16  # in a tuple, and in the lists of keys and values
_AS_THEY_ARE = frozenset({bool, float, str, type(None)})
_ARRAY_TYPES = frozenset("bBhHiIlLqQfd")
# numpy's types of plain memory: no objects, no fields.
_NUMPY_TYPE = re.compile(r"[<>|][biufcSU][0-9]{1,9}|[<>][mM]8(\[[0-9]{0,9}[a-zA-Z]{1,2}\])?")


class DataError(ValueError):
    """The value is not data, or the text was not written by this codec."""


# ---- writing


class _Written:
    """What goes beside the text, and the names that its objects have."""

    def __init__(self) -> None:
        self.buffers: list[memoryview] = []
        self._names: set[str] = set()

    def can_be_object(self, value: dict[Any, Any]) -> bool:
        """Whether JSON has such an object, would not read it as a type, and has room for its names."""
        if len(value) > _MOST_MEMBERS or not set(map(type, value)) <= {str}:
            return False
        if len(value) == 1 and next(iter(value)).startswith("$"):
            return False
        if not value.keys() <= self._names:
            if len(self._names) + len(value) > _MOST_NAMES:
                return False
            self._names.update(value)
        return True


def encoded(value: object) -> tuple[bytes, list[memoryview]]:
    """The value as text, and the buffers beside it. Raises DataError when it is not data."""
    to = _Written()
    tree = _tree(value, to, 0)
    text = _dumps(tree, ensure_ascii=False, separators=(",", ":"), check_circular=False)
    return text.encode("utf-8", "surrogatepass"), to.buffers


def _tree(value: Any, to: _Written, depth: int) -> Any:
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is int:
        return value if value.bit_length() <= _DECIMAL_BITS else {"$int": f"{value:x}"}
    if depth >= _DEEPEST:
        raise DataError(f"the value is nested deeper than {_DEEPEST} levels, or holds itself")
    if kind is list:
        return _items(value, to, depth)
    if kind is dict and to.can_be_object(value):
        return dict(zip(value, _items(list(value.values()), to, depth), strict=True))
    contents = _CONTAINERS.get(kind)
    if contents is not None:
        return {f"${kind.__name__}": _items(list(contents(value)), to, depth)}
    write = _WRITERS.get(f"{kind.__module__}.{kind.__qualname__}")
    if write is None and _is_of_numpy(value):
        write = _write_numpy
    if write is None and isinstance(value, BaseException):
        write = _write_exception
    if write is None:
        raise DataError(f"a {kind.__module__}.{kind.__qualname__} is not data: {_KNOWN}")
    return write(value, to.buffers)


def _items(values: list[Any], to: _Written, depth: int) -> list[Any]:
    kinds = set(map(type, values))
    if kinds <= _AS_THEY_ARE or (
        kinds == {int} and max(map(int.bit_length, values)) <= _DECIMAL_BITS
    ):
        return values
    return [_tree(item, to, depth + 1) for item in values]


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


def _near(value: Any) -> Any:
    if value.is_finite() and abs(value.adjusted()) > _FARTHEST_EXPONENT:
        raise DataError(
            f"a Decimal with the exponent {value.adjusted()} is not data: expected "
            f"-{_FARTHEST_EXPONENT} to {_FARTHEST_EXPONENT}"
        )
    return value


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


def _write_exception(value: BaseException, _: list[memoryview]) -> Any:
    return {"$exception": result_layout.texts_about(value)}


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
    "decimal.Decimal": lambda value, _: {"$Decimal": str(_near(value))},
}

_KNOWN = (
    "data is None, numbers, text, bytes, lists, tuples, dicts, sets, dates and times, bytearrays, "
    "arrays, arrays of numpy, and what exceptions tell"
)


# ---- reading


def decoded(text: Any, buffers: Sequence[Any], most_bytes: int = MOST_BYTES) -> Any:
    """The value, copied from text and buffers, which are of bytes.

    Raises DataError for text of another format, and for a value that would take more than so many bytes.
    """
    beside = len(buffers) * _BYTES_OF_BUFFER + sum(map(len, buffers))
    _require_room(len(text) + beside, most_bytes)
    try:
        text = bytes(text)
        room = most_bytes - beside - _needed(text, most_bytes - beside)
        reader = _Reader(buffers, room)
        value = json.loads(text.decode("utf-8", "surrogatepass"), object_hook=reader.made)
        reader.require_all_taken()
    except DataError:
        raise
    except Exception as error:  # of impossible values, too, such as a date of the year 0
        if is_from_handler(error):
            raise
        raise DataError(f"{type(error).__name__}: {error}") from None
    return value


def loaded_json(text: Any) -> Any:
    """What a text is in JSON alone. Raises DataError as decoded() does."""
    _require_room(len(text), _MOST_BYTES_OF_TEXTS)
    try:
        text = bytes(text)
        _needed(text, _MOST_BYTES_OF_TEXTS)
        return json.loads(text)
    except DataError:
        raise
    except Exception as error:
        if is_from_handler(error):
            raise
        raise DataError(f"{type(error).__name__}: {error}") from None


def texts_of(head: Any, count: int | None = None) -> list[str]:
    """The texts of a list in JSON. Raises DataError for anything else, and for another number of them."""
    texts = _list(loaded_json(head))
    if count not in {None, len(texts)}:
        raise DataError(f"expected {count} texts, got {len(texts)}")
    return list(map(_text, texts))


def _needed(text: bytes, most_bytes: int) -> int:
    """How many bytes of memory json's reader takes for it at most."""
    levels, members, letters, needed = json_needs(text)
    if levels > _MOST_LEVELS:
        raise DataError(f"it is nested deeper than {_MOST_LEVELS} levels")
    if members > _MOST_MEMBERS:
        raise DataError(f"an object has more than {_MOST_MEMBERS} members")
    if letters > _LONGEST_NUMBER:
        raise DataError(f"a number has more than {_LONGEST_NUMBER} letters")
    _require_room(needed, most_bytes)
    return needed


def _require_room(needed: int, most_bytes: int) -> None:
    if needed > most_bytes:
        raise DataError(
            f"it may take {needed} bytes of memory to read it, and at most {most_bytes} are given"
        )


class _Reader:
    def __init__(self, buffers: Sequence[Any], room: int) -> None:
        self._buffers = iter(buffers)
        self._room = room
        self._names: set[str] = set()
        self._began = thread_time()
        self._keys_seconds = 0.0
        self._keys = 0

    def made(self, members: dict[str, Any]) -> Any:
        """The value of one JSON object."""
        if len(members) == 1:
            ((name, content),) = members.items()
            if name.startswith("$"):
                read = _READERS.get(name)
                if read is None:
                    raise DataError(f"unknown type {name[:32]!r}")
                return read(content, self)
        if not members.keys() <= self._names:
            self._names.update(members)
            if len(self._names) > _MOST_NAMES:
                raise DataError(f"objects have more than {_MOST_NAMES} different names")
        return members

    def buffer(self) -> Any:
        """The next one."""
        buffer = next(self._buffers, None)
        if buffer is None:
            raise DataError("the text refers to more buffers than were sent")
        return buffer

    def require_all_taken(self) -> None:
        if next(self._buffers, None) is not None:
            raise DataError("the text refers to fewer buffers than were sent")

    def take(self, needed: int) -> None:
        """So many bytes are about to be used, beyond those of the text."""
        self._room -= needed
        if self._room < 0:
            raise DataError(
                f"it takes {-self._room} bytes of memory more to read it than are given"
            )

    def add(self, insert: Callable[[Any], object], keys: list[Any], values: Any = None) -> None:
        """Insert the keys. Raises DataError where that takes far longer than reading them has taken."""
        self.take(len(keys) * _BYTES_OF_KEY)
        for place in range(0, len(keys), _KEYS_AT_ONCE):
            some: Any = keys[place : place + _KEYS_AT_ONCE]
            if values is not None:
                some = zip(some, values[place : place + _KEYS_AT_ONCE], strict=True)
            if len(keys) <= _KEYS_AT_ONCE:
                insert(some)
                return
            began = thread_time()
            insert(some)
            ended = thread_time()
            self._keys_seconds += ended - began
            elsewhere = ended - self._began - self._keys_seconds
            self._keys += len(keys[place : place + _KEYS_AT_ONCE])
            more = min(_PATIENCE_RATIO * elsewhere, _PATIENCE_FOR_A_KEY * self._keys)
            if self._keys_seconds > _PATIENCE_SECONDS + more:
                raise DataError("the hashes of its keys were chosen to collide")


def _list(content: Any) -> list[Any]:
    if type(content) is not list:
        raise DataError(f"expected a list, got a {type(content).__name__}")
    return content


def _text(content: Any) -> str:
    if type(content) is not str:
        raise DataError(f"expected text, got a {type(content).__name__}")
    return content


def _numbers(content: Any) -> list[int]:
    """None is a bool or a text, of which int() would make one."""
    if not set(map(type, _list(content))) <= {int}:
        raise DataError("expected whole numbers")
    return list(content)


def _read_int(content: Any, reader: _Reader) -> int:
    reader.take(len(_text(content)))
    return int(content, 16)


def _read_tuple(content: Any, reader: _Reader) -> tuple[Any, ...]:
    reader.take(len(_list(content)) * _BYTES_OF_PLACE)
    return tuple(content)


def _read_set(content: Any, reader: _Reader) -> set[Any]:
    made: set[Any] = set()
    reader.add(made.update, _list(content))
    return made


def _read_frozenset(content: Any, reader: _Reader) -> frozenset[Any]:
    reader.take(len(_list(content)) * _BYTES_OF_KEY)
    return frozenset(_read_set(content, reader))


def _read_dict(content: Any, reader: _Reader) -> dict[Any, Any]:
    items = _list(content)
    reader.take(len(items) * _BYTES_OF_PLACE)
    keys, values = items[::2], items[1::2]
    if len(keys) != len(values):
        raise DataError("the last key has no value")
    made: dict[Any, Any] = {}
    reader.add(made.update, keys, values)
    return made


def _read_bytes(content: Any, reader: _Reader) -> bytes:
    if content is None:
        return bytes(reader.buffer())
    reader.take(len(_text(content)))
    return bytes(content, "latin-1")


def _read_bytearray(content: Any, reader: _Reader) -> bytearray:
    if content is not None:
        raise DataError("expected null")
    return bytearray(reader.buffer())


def _read_array(content: Any, reader: _Reader) -> Any:
    if _text(content) not in _ARRAY_TYPES:
        raise DataError(f"unknown array type {content[:8]!r}")
    made, buffer = array(content), reader.buffer()
    reader.take(len(buffer) // 4)  # which it has room for behind its items
    made.frombytes(buffer)
    return made


def _read_complex(content: Any, _: _Reader) -> complex:
    real, imaginary = _list(content)
    if type(real) is not float or type(imaginary) is not float:
        raise DataError("expected two floats")
    return complex(real, imaginary)


def _read_date_and_time(kind: str) -> Callable[[Any, _Reader], Any]:
    def read(content: Any, _: _Reader) -> Any:
        import datetime as dt

        text, fold = _list(content)
        return getattr(dt, kind).fromisoformat(_text(text)).replace(fold=fold)

    return read


def _read_date(content: Any, _: _Reader) -> Any:
    import datetime as dt

    return dt.date.fromisoformat(_text(content))


def _read_timedelta(content: Any, _: _Reader) -> Any:
    import datetime as dt

    days, seconds, microseconds = _numbers(content)
    return dt.timedelta(days, seconds, microseconds)


def _read_decimal(content: Any, reader: _Reader) -> Any:
    import decimal

    reader.take(2 * len(_text(content)))
    return _near(decimal.Decimal(content))


def _read_exception(content: Any, reader: _Reader) -> Any:
    texts = list(map(_text, _list(content)))
    if len(texts) != 3 or len(max(texts, key=len)) > _MOST_LETTERS:  # noqa: PLR2004 - type, message, traceback
        raise DataError(f"expected three texts of at most {_MOST_LETTERS} letters")
    letters = sum(map(len, texts))
    meanwhile = _BYTES_TO_ESCAPE * letters
    reader.take(_BYTES_OF_EXCEPTION + _BYTES_OF_ESCAPED * letters + meanwhile)
    error = remote_error(texts)
    reader.take(-meanwhile)
    return error


def _read_numpy(content: Any, reader: _Reader) -> Any:
    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        raise DataError("the value holds a numpy array, and numpy is not imported in this process")
    name, shape = _list(content)
    if not _NUMPY_TYPE.fullmatch(_text(name)):
        raise DataError(f"unknown numpy type {name[:32]!r}")
    kind, memory = numpy.dtype(name), bytearray(reader.buffer())
    sizes = [1] if shape is None else _numbers(shape)
    if len(sizes) > _MOST_DIMENSIONS or min(sizes, default=0) < 0:
        raise DataError("an array cannot have such a shape")
    if math.prod(sizes) * kind.itemsize != len(memory):
        raise DataError("an array has another size than its buffer")
    if 0 in sizes:  # nothing was sent for the lists that tolist() makes of its rows
        reader.take(math.prod(sizes[: sizes.index(0)]) * _BYTES_OF_LIST)
    flat = numpy.frombuffer(memory, kind)
    if kind.kind == "U" and flat.size:
        letters = numpy.frombuffer(memory, numpy.dtype("u4").newbyteorder(kind.byteorder))
        if letters.max() > sys.maxunicode:  # numpy would see it when it makes a text of it
            raise DataError("an array of text has what is no letter")
    if shape is not None:
        return flat.reshape(sizes)
    reader.take(2 * len(memory))
    return flat[0]


_READERS: Mapping[str, Callable[[Any, _Reader], Any]] = {
    "$int": _read_int,
    "$tuple": _read_tuple,
    "$set": _read_set,
    "$frozenset": _read_frozenset,
    "$dict": _read_dict,
    "$bytes": _read_bytes,
    "$bytearray": _read_bytearray,
    "$array": _read_array,
    "$complex": _read_complex,
    "$date": _read_date,
    "$time": _read_date_and_time("time"),
    "$datetime": _read_date_and_time("datetime"),
    "$timedelta": _read_timedelta,
    "$Decimal": _read_decimal,
    "$numpy": _read_numpy,
    "$exception": _read_exception,
}
