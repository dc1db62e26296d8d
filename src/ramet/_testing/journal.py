"""What a clone writes down as it goes, for the session to read however the clone ends."""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self, TypeAlias

from _pytest._io.saferepr import saferepr

from .._process.data_codec import DataError, decoded, encoded

Record: TypeAlias = dict[str, Any]

# The keys of a clone's last record.
STOP = frozenset({"exit", "interrupt"})  # in the middle of the test
END = STOP | {"end", "error", "lost"}

_PLAIN = (bool, int, float, str)
_DEEPEST = 20  # levels of a user property, which may hold itself

# As they are before a test replaces them.
_own_pid, _write = os.getpid, os.write


class Journal:
    """Records in memory that both processes have: each a line of data, which is read without pickle."""

    def __init__(self) -> None:
        self._file = os.memfd_create("ramet-test-journal", os.MFD_CLOEXEC)
        self._writer = 0

    def begin(self) -> None:
        """This process is the one that writes: none that a test forks and lets return from it."""
        self._writer = _own_pid()

    def write(self, record: Record) -> None:
        """Add a record. What is not data is written as its text: a user property of any class, say."""
        if self._writer != _own_pid():
            return
        text, _ = encoded(_as_data(record))
        left = memoryview(text + b"\n")
        while left:
            left = left[_write(self._file, left) :]

    def read(self) -> Iterator[Record]:
        """All records that were finished."""
        whole = os.pread(self._file, os.fstat(self._file).st_size, 0)
        for line in whole.splitlines(keepends=True):
            with suppress(DataError):  # the last one, of a clone that died as it wrote
                record = decoded(line, ())
                if isinstance(record, dict):
                    yield record

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def lost_reports(records: list[Record]) -> str:
    """Which of a clone's reports are missing, in words; none where it was stopped before its end."""
    found = sum("report" in record for record in records)
    for record in records:
        match record:
            case {"lost": str(why)}:
                return why
            case {"end": [_, _, count]} if count != found:
                return (
                    f"lost {count - found} of {count} reports, which its process could not write (does the "
                    "test replace functions of os or json?)"
                )
    return ""


def _as_data(value: Any, depth: int = 0) -> Any:
    """The same in plain types: a subclass of text as text, a path or anything unknown as its text."""
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, dict | tuple | list | set | frozenset):
        return saferepr(value) if depth >= _DEEPEST else _items_as_data(value, depth + 1)
    for plain in _PLAIN[1:]:
        if isinstance(value, plain):
            return plain(value)
    try:
        return str(value)
    except Exception:
        return saferepr(value)


def _items_as_data(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return {_as_data(key): _as_data(item, depth) for key, item in value.items()}
    items = [_as_data(item, depth) for item in value]
    return tuple(items) if isinstance(value, tuple) else items
