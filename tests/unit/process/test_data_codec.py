"""What is read of a child that is trusted with nothing, when it writes what it likes."""

import datetime as dt
import decimal
import functools
import json
import os
import random
import struct
import tracemalloc
from array import array
from collections.abc import Callable
from typing import Any

import pytest

from ramet._process import data_codec, result_layout
from ramet._process.result_channel import ResultChannel
from ramet.errors import ResultError

ROUNDS = 1_000_000 if os.environ.get("RAMET_LONG") else 20_000
WEIGHED = 10  # of so many one: it takes as long as the others together
ROOM = 1 << 13

VALUES: list[Any] = [
    {"id": 12, "ok": True, "score": 0.25, "name": "a name", "tags": ["a", "b"]},
    [1, (2, {3, 4}), frozenset({5}), {6: 7, (8,): None}, 1 << 3000, -1e300, 1j, "é\udcff"],
    [b"short", b"long" * 99, bytearray(b"buffer" * 50), array("d", [1, 2, 3])],
    [dt.date(2026, 1, 1), dt.time(1, 2), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)],
    [dt.timedelta(1, 2, 3), decimal.Decimal("1.5"), [[[[[]]]]]],
]


def written(write: Callable[[memoryview], object]) -> bytes:
    channel = ResultChannel(ROOM)
    write(memoryview(channel))
    return bytes(memoryview(channel)).rstrip(b"\0")


def put_data(value: object, room: memoryview) -> None:
    result_layout.write(room, result_layout.DATA, *data_codec.encoded(value))


def seeds() -> list[bytes]:
    """What honest children write, of each kind."""
    made = [written(functools.partial(put_data, value)) for value in VALUES]
    made += [written(lambda room: result_layout.put_error(room, KeyError("missing")))]
    made += [written(lambda room: result_layout.put_value(room, {"a": [1, 2, 3]}))]
    made += [written(lambda room: result_layout.put_failure(room, 3, 13))]
    made += [written(lambda room: result_layout.put_lost(room, "it is lost"))]
    for plain in (1, 0.5, "text", b"bytes"):
        channel = ResultChannel(ROOM)
        channel.deliver(lambda value=plain: value, ())
        made.append(bytes(memoryview(channel)).rstrip(b"\0"))
    return made


NUMBERS = [0, 1, 2, 7, 8, 63, 64, 255, 1 << 12, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 64) - 1]
WORDS = [
    *(b"[", b"]", b"{", b"}", b'"', b",", b":", b"null", b"1e999", b"-", b"NaN", b"\xff", b"\\u"),
    *(f'"${name}":'.encode() for name in ("int", "tuple", "set", "dict", "bytes", "bytearray")),
    *(f'{{"${name}":'.encode() for name in ("array", "date", "datetime", "complex", "numpy")),
    *(b'{"$Decimal":"1e9999999"}', b'{"$timedelta":[1e99,0,0]}', b"9" * 5000, b"[" * 2000),
]


def mutated(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        place = chance.randrange(len(data))
        how = chance.random()
        if how < 0.3:
            data[place] = chance.randrange(256)
        elif how < 0.45:
            struct.pack_into("=Q", data, chance.randrange(3) * 8, chance.choice(NUMBERS))
        elif how < 0.6:
            data[place:place] = chance.choice(WORDS)
        elif how < 0.7:
            del data[place : place + chance.randrange(16)]
        elif how < 0.8:
            other = chance.choice(SEEDS)
            start = chance.randrange(len(other))
            data[place:place] = other[start : start + chance.randrange(64)]
        else:
            data[place : place + 8] = struct.pack("=Q", chance.choice(NUMBERS))
        data = data[:ROOM] or bytearray(1)
    if len(data) >= 24 and chance.random() < 0.5:  # a length that fits, so that the text is read
        count = 0 if chance.random() < 0.5 else struct.unpack_from("=Q", data)[0]
        length = max(0, len(data) - 64 - 8 * count)
        struct.pack_into("=QQ", data, 0, count, length)
    return bytes(data)


SEEDS = seeds()
TRANSFER = ResultChannel(ROOM)


def test_every_seed_is_read() -> None:
    """What honest children write is read, each in its way."""
    outcomes = [outcome_of(seed) for seed in SEEDS]
    assert outcomes[: len(VALUES)] == [(result_layout.VALUE, value) for value in VALUES]
    assert {kind for kind, _ in outcomes} == {result_layout.VALUE, result_layout.RAISED}


def outcome_of(data: bytes) -> tuple[int, Any]:
    memoryview(TRANSFER)[:] = data.ljust(ROOM, b"\0")
    return TRANSFER.take()


def weighed(data: bytes) -> tuple[tuple[int, Any], int]:
    """The outcome, and how many bytes it took at most to read it."""
    tracemalloc.start()
    try:
        outcome = outcome_of(data)
        return outcome, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_whatever_is_written_gives_a_value_or_a_result_error() -> None:
    """Mutated results give a value of data, a ResultError or nothing, and no other exception.

    None of them takes more memory than some times its size: a list of empty lists has 3 bytes of
    text an item, and 64 of memory.
    """
    chance = random.Random(20261126)
    values = most = 0
    for seed in SEEDS:
        outcome_of(seed)  # imports what it needs
    for round_ in range(ROUNDS):
        data = mutated(chance.choice(SEEDS), chance)
        if round_ % WEIGHED:
            kind, outcome = outcome_of(data)
        else:
            (kind, outcome), weight = weighed(data)
            most = max(most, weight)
        assert kind in {result_layout.VALUE, result_layout.RAISED, result_layout.NOTHING}
        assert kind != result_layout.RAISED or isinstance(outcome, ResultError)
        values += kind == result_layout.VALUE
        assert_data(outcome)
    assert values > ROUNDS / 100
    assert most < 64 * ROOM


PLAIN = {type(None), bool, int, float, complex, str, bytes, bytearray, array, decimal.Decimal}
PLAIN |= {dt.date, dt.time, dt.datetime, dt.timedelta}


def assert_data(value: object) -> None:
    """Of no other types than data has."""
    if isinstance(value, dict):
        assert_data([*value, *value.values()])
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            assert_data(item)
    elif not isinstance(value, ResultError):
        assert type(value) in PLAIN


def text_of(tree: object) -> bytes:
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ({"$set": [[]]}, "unhashable"),
        ({"$dict": [1]}, "last key has no value"),
        ({"$object": 1}, "unknown type '\\$object'"),
        ({"$bytes": None}, "more buffers"),
        ({"$bytearray": 5}, "expected null"),
        ({"$bytearray": None}, "more buffers"),
        ({"$bytes": "\u1234"}, "latin-1"),
        ({"$int": "x"}, "invalid literal"),
        ({"$int": 5}, "expected text"),
        ({"$tuple": "ab"}, "expected a list"),
        ({"$date": "0000-01-01"}, "year"),
        ({"$datetime": ["2026-01-01", 7]}, "fold"),
        ({"$array": "O"}, "unknown array type"),
        ({"$numpy": ["|O", [1]]}, "numpy|no arrays"),
        ({"$timedelta": [10**9, 0, 0]}, "days"),
        ({"$Decimal": "x"}, "InvalidOperation"),
        ({"$set": [k * ((1 << 61) - 1) for k in range(20_000)]}, "chosen to collide"),
        ({"$dict": [k * ((1 << 61) - 1) // 2 for k in range(40_000)]}, "chosen to collide"),
    ],
)
def test_what_the_codec_never_writes_is_refused(tree: object, why: str) -> None:
    """One kind of error, which tells what was the matter."""
    with pytest.raises(data_codec.DataError, match=why):
        data_codec.decoded(text_of(tree), [])


def test_deep_text_is_refused() -> None:
    """Text that is nested without end ends in an error, not in a crash."""
    with pytest.raises(data_codec.DataError, match="deeper than 250 levels"):
        data_codec.decoded(b"[" * 1_000_000 + b"]" * 1_000_000, [])


def test_all_buffers_must_be_used() -> None:
    """A buffer that nothing names is no part of a value."""
    with pytest.raises(data_codec.DataError, match="fewer buffers"):
        data_codec.decoded(b"[]", [memoryview(b"x")])


@pytest.mark.parametrize(
    "tree",
    [
        ["<U999999999", [0]],
        ["<f8", [0, 1 << 62]],
        ["<f8", [1 << 62]],
        ["<f8", [-1, -1]],
        ["<f8", [1] * 99],
        ["<f8", [0.5]],
        ["<V8", [1]],
        ["i4,O", [1]],
        ["<f99", [1]],
        [["<f8"], [1]],
    ],
)
def test_an_array_that_cannot_be_is_refused(tree: list[Any]) -> None:
    """Types and shapes that somebody made up make no array that is larger than its buffer."""
    pytest.importorskip("numpy")
    try:
        made = data_codec.decoded(text_of({"$numpy": tree}), [memoryview(bytes(8))])
    except data_codec.DataError:
        return
    assert made.nbytes <= 8
