import os
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

import pytest

from ramet._testing.journal import Journal


class Colour(IntEnum):
    RED = 1


class Odd:
    def __str__(self) -> str:
        return "an odd one"


@pytest.fixture
def journal() -> Iterator[Journal]:
    with Journal() as made:
        made.begin()
        yield made


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, None),
        ([1, 2.5, True, "text"], [1, 2.5, True, "text"]),
        ({"a": (1, (2,)), 3: []}, {"a": (1, (2,)), 3: []}),
        (type("Text", (str,), {})("text"), "text"),
        (Colour.RED, 1),
        (Path("/tmp"), "/tmp"),
        (b"bytes", "b'bytes'"),
        (Odd(), "an odd one"),
        ("a\nb\u2028c\udcff", "a\nb\u2028c\udcff"),
        (1 << 5000, 1 << 5000),
    ],
)
def test_a_record_is_read_as_data(value: object, read: object, journal: Journal) -> None:
    """Plain values are read as they were written, subclasses as plain ones, any other as its text."""
    journal.write({"value": value})
    journal.write({"next": 1})
    assert list(journal.read()) == [{"value": read}, {"next": 1}]


def test_an_unfinished_record_is_left_out(journal: Journal) -> None:
    """What its writer did not come to finish is no record."""
    journal.write({"first": 1})
    os.write(journal._file, b'{"second": [1, 2')
    assert list(journal.read()) == [{"first": 1}]


def test_only_one_process_writes() -> None:
    """Before one says that it writes, nothing is written."""
    with Journal() as journal:
        journal.write({"first": 1})
        assert list(journal.read()) == []
