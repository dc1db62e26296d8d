"""What is read of a child that is trusted with nothing, when it writes what it likes."""

import decimal
import itertools
import json
import os
import tracemalloc
from typing import Any

import pytest

from ramet._core import json_needs
from ramet._process import data_codec, result_layout
from ramet.errors import RemoteError
from tests.mutated_results import IN_MEMORY, VALUES, Shared, judge

ROUNDS = 50_000  # `make test-long` takes a million


def test_what_honest_children_write_is_read() -> None:
    """Each in its way: else what is made of it would be refused at once."""
    shared, outcomes = Shared(), []
    for seed in IN_MEMORY:
        shared.write(seed)
        outcomes.append(shared.take())
    assert outcomes[: len(VALUES)] == [(result_layout.VALUE, value) for value in VALUES]
    assert {kind for kind, _ in outcomes} == {result_layout.VALUE, result_layout.RAISED}


def test_whatever_is_sent_gives_a_value_or_a_result_error() -> None:
    """Mutated results give a value of data, or a ResultError, and take no more memory than is allowed."""
    pytest.importorskip("numpy")
    counted = judge(ROUNDS, 20261126)
    assert min(counted["Shared value"], counted["Wire value"]) > ROUNDS / 100


# ---- the worst that a text can do


def many(unit: str) -> bytes:
    """A list of so many that it has some 100 kB."""
    return ("[" + ",".join([unit] * (100_000 // (len(unit) + 1))) + "]").encode()


def members(count: int) -> str:
    return "{" + ",".join(f'"{n}":0' for n in range(count)) + "}"


def numbers(kind: str, count: int, each: str) -> bytes:
    return (f'{{"${kind}":[' + ",".join(each.format(n) for n in range(count)) + "]}").encode()


WORST: dict[str, bytes] = {
    unit[:24]: many(unit)
    for unit in (
        *("[]", "[[]]", "[" * 99 + "]" * 99, "[" * 240 + "]" * 240, "{}", '{"":0}', '{"":[]}'),
        *(
            '{"":' * 99 + "0" + "}" * 99,
            members(5),
            members(6),
            members(11),
            members(43),
            members(64),
        ),
        *("0", "999", "-999", "0e0", "null", '""', '"\u0101"', '"\U0001f600"', '"\\u0101"'),
        *(
            '"\\n\\n\\ud83d\\ude00"',
            '"' + "a" * 50 + '\U0001f600"',
            '{"$tuple":[0]}',
            '{"$set":[]}',
        ),
        *(
            '{"$set":[0,1,2,3,4]}',
            '{"$frozenset":[0,1,2,3,4]}',
            '{"$dict":[0,0]}',
            '{"$bytes":"ab"}',
        ),
        *('{"$Decimal":"1"}', '{"$complex":[0.0,0.0]}', '{"$timedelta":[1,2,3]}', '{"$int":"1"}'),
        *(
            '{"$exception":["","",""]}',
            '{"$exception":["E","\x7f\x80\u0378","\U0001f600\x80\x81"]}',
        ),
        *('{"$date":"2020-01-01"}', '{"$datetime":["2020-01-01T00:00:00+00:01",0]}'),
    )
}
WORST |= {
    f"{kind} of {count}": numbers(kind, count, each)
    for kind, each in (("set", "{}"), ("frozenset", "{}"), ("dict", "{},0"), ("tuple", "0"))
    for count in (1365, 1366, 20_000, 30_000, 43_691, 50_001, 52_430)
}
WORST |= {
    "a long text": ('["' + "a" * 100_000 + '"]').encode(),
    "a wide text": ('["\U0001f600' + "a" * 100_000 + '"]').encode(),
    "long bytes": ('{"$bytes":"' + "a" * 100_000 + '"}').encode(),
    "a long int": ('{"$int":"' + "f" * 100_000 + '"}').encode(),
    "a long exception": ('{"$exception":["","' + "\x80\U0001f600" * 20_000 + '",""]}').encode(),
    "many letters": f'{{"$exception":["","{"".join(map(chr, range(0xE0000, 0xF0000)))}",""]}}'.encode(),
    "a long Decimal": ('{"$Decimal":"' + "9" * 100_000 + '"}').encode(),
}


@pytest.mark.parametrize("text", WORST.values(), ids=WORST)
def test_a_text_takes_no_more_memory_than_is_known_before(text: bytes) -> None:
    """With a byte less than it took it is refused, before anything is made."""
    data_codec.decoded(text, [])  # imports what it needs
    tracemalloc.start()
    value = data_codec.decoded(bytearray(text), [])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert value is not None
    with pytest.raises(data_codec.DataError, match="bytes of memory"):
        data_codec.decoded(text, [], most_bytes=most - 4096)  # what the measuring itself takes
    assert most < 70 * len(text)


BESIDE: dict[str, tuple[str, bytes, int]] = {
    "bytes": ('{"$bytes":null}', b"", 5000),
    "bytearrays": ('{"$bytearray":null}', b"", 5000),
    "arrays": ('{"$array":"b"}', b"", 5000),
    "scalars": ('{"$numpy":["<f8",null]}', b"x" * 8, 5000),
    "empty arrays": ('{"$numpy":["<f8",[0]]}', b"", 5000),
    "a large array of array": ('{"$array":"b"}', b"x" * 4_000_000, 1),
    "a large array": ('{"$numpy":["|i1",[4000000]]}', b"x" * 4_000_000, 1),
    "a large scalar": ('{"$numpy":["<U1000000",null]}', b"x\0\0\0" * 1_000_000, 1),
    "large bytes": ('{"$bytes":null}', b"x" * 4_000_000, 1),
}


@pytest.mark.parametrize(("unit", "buffer", "count"), BESIDE.values(), ids=BESIDE)
def test_buffers_take_no_more_memory_than_is_known_before(
    unit: str, buffer: bytes, count: int
) -> None:
    """The same for what lies beside the text."""
    pytest.importorskip("numpy")
    text, buffers = ("[" + ",".join([unit] * count) + "]").encode(), [memoryview(buffer)] * count
    data_codec.decoded(text, buffers)
    tracemalloc.start()
    value = data_codec.decoded(text, buffers)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(value) == count
    with pytest.raises(data_codec.DataError, match="bytes of memory"):
        data_codec.decoded(text, buffers, most_bytes=most - 4096)


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        (b"", (0, 0, 0)),
        (b"[[1], {}]", (2, 0, 1)),
        (b'{"a":{"b":1,"c":-123}}', (2, 2, 4)),
        (b'["[[[[", "\\"[[", 12345]', (1, 0, 5)),
        (b"]]]][", (1, 0, 0)),
        (b'"', (0, 0, 0)),
        (b'"\\', (0, 0, 0)),
        (b"\x00[[[", (0, 0, 0)),
    ],
)
def test_levels_members_and_digits_are_counted(text: bytes, needs: tuple[int, ...]) -> None:
    """Those outside of texts, as far as it may be JSON."""
    assert json_needs(text)[:3] == needs


def walking_keys(bits: int) -> list[int]:
    """Keys for a table of so many slots: some fill a stretch of it, others have to walk along that."""
    mask, place, filled = (1 << bits) - 1, 1, []
    for _ in range(1 << (bits - 1)):
        filled.append(place)
        place = (5 * place + 1) & mask
    walk = [key + (n << bits) for n, key in enumerate(filled[: 1 << (bits - 3)], 1)]
    return filled + walk


EQUAL = [k * ((1 << 61) - 1) for k in range(20_000)]
WALKING = walking_keys(20)


@pytest.mark.parametrize(
    "tree",
    [
        {"$set": EQUAL},
        {"$frozenset": EQUAL},
        {"$dict": [item for key in EQUAL for item in (key, 0)]},
        {"$dict": [item for key in WALKING for item in (key, 0)]},
        [{"$set": EQUAL[:1000]} for _ in range(200)],
    ],
    ids=["set", "frozenset", "dict", "different hashes", "many sets"],
)
def test_keys_that_were_chosen_to_collide_are_refused(tree: object) -> None:
    """Else their time would grow with the square of their number."""
    with pytest.raises(data_codec.DataError, match="chosen to collide"):
        data_codec.decoded(text_of(tree), [])


def test_what_goes_before_gives_keys_no_time_without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a list that is long to no purpose: so many seconds for each key are enough."""
    now = itertools.count(step=0.5)
    monkeypatch.setattr(data_codec, "thread_time", lambda: 1000 + next(now))
    text, buffers = data_codec.encoded(set(range(1000)))
    with pytest.raises(data_codec.DataError, match="chosen to collide"):
        data_codec.decoded(text, buffers)


HONEST: list[Any] = [
    {2.0**k for k in range(-1074, 1024)},
    {1 << k for k in range(5000)},
    {f"name {n}": n for n in range(5000)},
    [{f"name {n}": n} for n in range(5000)],
    {n: {str(n): n} for n in range(2000)},
    decimal.Decimal("1e1000026"),
    decimal.Decimal("-sNaN123"),
]


@pytest.mark.parametrize("value", HONEST, ids=range(len(HONEST)))
def test_what_an_honest_child_may_well_send_is_read(value: object) -> None:
    """Many keys of few hashes, many names, and the largest numbers."""
    arrived = data_codec.decoded(*data_codec.encoded(value))
    assert repr(arrived) == repr(value) or arrived == value


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
        ({"$Decimal": "1e1000027"}, "exponent"),
        ({"$Decimal": "-1e-999999999"}, "exponent"),
        ({"$set": [{"$Decimal": "sNaN"}]}, "signaling"),
        ({"$complex": [1, 2.0]}, "two floats"),
        ({"$exception": []}, "three texts"),
        ({"$exception": ["E", "m", "t", "?"]}, "three texts"),
        ({"$exception": ["E", "m" * 300_000, "t"]}, "at most"),
        ({"$exception": ["E", "m", None]}, "expected text"),
        ({"$timedelta": ["1", 0, 0]}, "whole numbers"),
        ({"$time": ["00:00+24:00", 0]}, "timedelta|offset|isoformat|timezone"),
        ([{str(n): 0} for n in range(1001)], "different names"),
        ({str(n): 0 for n in range(65)}, "more than 64 members"),
        (10**640, "more than 640 letters"),
    ],
)
def test_what_the_codec_never_writes_is_refused(tree: object, why: str) -> None:
    """One kind of error, which tells what was the matter."""
    with pytest.raises(data_codec.DataError, match=why):
        data_codec.decoded(text_of(tree), [])


def test_what_an_exception_tells_is_data() -> None:
    """A RemoteError stands for it, and no class is looked up; a terminal obeys none of its letters."""
    with pytest.raises(KeyError) as raising:
        os.environ["\x1b[2J \udcff"]
    raised = raising.value
    text, buffers = data_codec.encoded({"of": [raised, ExceptionGroup("both", [raised, raised])]})
    one, both = data_codec.decoded(text, buffers)["of"]
    assert (type(one), one.type_name, one.message) == (RemoteError, "KeyError", r"'\x1b[2J \udcff'")
    assert str(both) == "ExceptionGroup: both (2 sub-exceptions)"
    assert "test_data_codec.py" in str(one.__cause__)


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
        ["<f8", [True]],
        ["<f8", ["1"]],
        ["<V8", [1]],
        ["i4,O", [1]],
        ["<f99", [1]],
        [["<f8"], [1]],
    ],
)
def test_an_array_that_cannot_be_is_refused(tree: list[Any]) -> None:
    """Types and shapes that somebody made up make no array of another size than its buffer."""
    pytest.importorskip("numpy")
    with pytest.raises(data_codec.DataError):
        data_codec.decoded(text_of({"$numpy": tree}), [memoryview(bytes(8))])


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("shape", [[2], None])
def test_an_array_of_text_has_letters_alone(order: Any, shape: list[int] | None) -> None:
    """Of whatever else it holds numpy makes a SystemError when it is printed."""
    numpy = pytest.importorskip("numpy")
    name = "<U1" if order == "little" else ">U1"
    count = 1 if shape is None else 2

    def read(last: int) -> Any:
        buffer = b"".join(letter.to_bytes(4, order) for letter in [65, last][-count:])
        return data_codec.decoded(text_of({"$numpy": [name, shape]}), [memoryview(buffer)])

    assert numpy.atleast_1d(read(0x10FFFF))[-1] == "\U0010ffff"
    assert numpy.atleast_1d(read(0xDC80))[-1] == "\udc80"
    for last in (0x110000, 1 << 31, (1 << 32) - 1):
        with pytest.raises(data_codec.DataError, match="no letter"):
            read(last)


def test_an_array_without_items_has_no_endless_shape() -> None:
    """Its tolist() would make a list for each of its rows, which nothing was sent for."""
    pytest.importorskip("numpy")
    empty = [memoryview(b"")]
    assert data_codec.decoded(text_of({"$numpy": ["<f8", [1000, 0]]}), empty).shape == (1000, 0)
    with pytest.raises(data_codec.DataError, match="bytes of memory more"):
        data_codec.decoded(text_of({"$numpy": ["<f8", [1 << 31, 0]]}), empty)
