"""What a clone writes down as it goes, for the session to read however the clone ends."""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self, TypeAlias

from .._process.data_codec import DataError, decoded, encoded

Record: TypeAlias = dict[str, Any]

# The keys of a clone's last record.
END = frozenset({"end", "exit", "interrupt", "error"})

_PLAIN = (bool, int, float, str)


class Journal:
    """Records in memory that both processes have: each a line of data, which is read without pickle."""

    def __init__(self) -> None:
        self._file = os.memfd_create("ramet-test-journal", os.MFD_CLOEXEC)
        self._writer = 0

    def begin(self) -> None:
        """This process is the one that writes: none that a test forks and lets return from it."""
        self._writer = os.getpid()

    def write(self, record: Record) -> None:
        """Add a record. What is not data is written as its text: a user property of any class, say."""
        if self._writer != os.getpid():
            return
        text, _ = encoded(_as_data(record))
        left = memoryview(text + b"\n")
        while left:
            left = left[os.write(self._file, left) :]

    def read(self) -> Iterator[Record]:
        """All records that were finished."""
        whole = os.pread(self._file, os.fstat(self._file).st_size, 0)
        for line in whole.splitlines(keepends=True):
            with suppress(DataError):  # the last one, of a clone that died as it wrote
                yield decoded(line, ())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def _as_data(value: Any) -> Any:
    """The same in plain types: a subclass of text as text, a path or anything unknown as its text."""
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        return {_as_data(key): _as_data(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_as_data, value))
    if isinstance(value, list | set | frozenset):
        return [*map(_as_data, value)]
    for plain in _PLAIN[1:]:
        if isinstance(value, plain):
            return plain(value)
    return str(value)
