"""Plain values: what crosses without a pickle, and is read without danger, whoever wrote it."""

import math
import pickle
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from ramet._core import plain_value
from ramet._workers.crossing.messages import Channel, channels, receive

KIND = 5
NESTED: tuple[Any, ...] = ()
for _ in range(40):
    NESTED = (NESTED,)


def sent(value: object) -> bytes | None:
    """What is written of it; None: it is not plain."""
    ours, theirs = channels()
    try:
        return _received(theirs) if ours.send_plain(KIND, value) else None
    finally:
        ours.close()
        theirs.close()


def _received(channel: Channel) -> bytes:
    message = receive(channel)
    assert message is not None
    assert message[0] == KIND
    return bytes(message[1][0])


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -1, (1 << 63) - 1, -(1 << 63), 0.0, -0.0, math.inf),
        *("", "é\0", b"", b"\0\xff", (), (1, ("a", (None, b"b"))), [], [(1, 2), "x"]),
        *({}, {"a": 1, (2, "b"): (3.5, None)}, [[], [1, [2.5]]], ([], {"a": [{}]}, ([None],))),
    ],
    ids=repr,
)
def test_plain_values_come_back_as_they_are(value: object) -> None:
    """Equal, and of the same type; so is all that is in them."""
    written = sent(value)
    assert written is not None
    assert repr(plain_value(written)) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        1 << 63,
        "\udc80",
        b"x" * (1 << 14),
        {1, 2},
        [{1, 2}],
        {"a": {"b": 1 << 63}},
        NESTED,
        object(),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_not_plain_is_not_sent(value: object) -> None:
    """Large integers, half a character, what is long or deep, other containers."""
    assert sent(value) is None


def test_what_lies_in_it_twice_is_not_sent() -> None:
    """Its copies would be two, and a change of one would not be seen in the other."""
    inner: list[object] = [1]
    for twice in ([inner, inner], (inner, {"a": inner}), [{}, [inner], (inner,)]):
        assert sent(twice) is None
    assert sent([inner, [1], {"a": [1]}]) is not None
    fixed = (1, "a")
    assert sent([fixed, fixed]) is not None
    shared: tuple[tuple[Any, ...], ...] = (
        ([],),
        (1, ({},)),
    )  # to which nothing but the tuple refers
    for of_lists in shared:
        assert sent([of_lists, of_lists]) is None
        assert sent((of_lists, {"a": of_lists})) is None
        assert sent([of_lists, ([],)]) is not None


def test_what_one_pickle_keeps_as_one_is_one() -> None:
    """Values of all shapes, some of them shared: what is sent is as its copy by pickle."""
    source = random.Random(13)
    sizes = Counter(_compared(_made(source, [], 4)) for _ in range(4000))
    assert min(sizes[True], sizes[False]) > 400


def _made(source: random.Random, known: list[object], depth: int) -> object:
    """A list, a dict, a tuple or a number, or one that lies in the value already."""
    if known and source.random() < 0.15:
        return source.choice(known)
    count = source.randrange(4)
    kind = source.randrange(4) if depth else 3
    if kind == 3:
        return source.randrange(1000)
    items = [_made(source, known, depth - 1) for _ in range(count)]
    made: object = items if kind == 0 else tuple(items) if kind == 1 else dict(enumerate(items))
    known.append(made)
    return made


def _compared(value: object) -> bool:
    """Whether it is plain; then what is one object in it is one in its copy, but for what cannot change."""
    written = sent(value)
    if written is None:
        return False
    assert _shape(plain_value(written)) == _shape(pickle.loads(pickle.dumps(value)))
    return True


def _shape(value: Any) -> str:
    """Its text, with a number for each list and dict by which it is known again."""
    numbers: dict[int, int] = {}

    def text(one: Any) -> str:
        if isinstance(one, int):
            return str(one)
        if isinstance(one, tuple):
            return f"({', '.join(map(text, one))})"
        number = numbers.setdefault(id(one), len(numbers))
        parts = (
            map(text, one) if isinstance(one, list) else [f"{k}: {text(v)}" for k, v in one.items()]
        )
        return f"{number}{type(one).__name__}({', '.join(parts)})"

    return text(value)


def test_what_lies_in_itself_is_not_sent() -> None:
    """Directly, or in another."""
    itself: list[object] = []
    itself.append(itself)
    assert sent(itself) is None
    outer: dict[str, object] = {}
    outer["a"] = [(outer,)]
    assert sent(outer) is None


@pytest.mark.parametrize(("count", "is_plain"), [(16, True), (17, False)])
def test_so_many_lists_may_be_known_elsewhere(count: int, is_plain: bool) -> None:
    """Whether they lie in the value twice is looked up among so many."""
    known: list[list[int]] = [[] for _ in range(count)]
    assert (sent(tuple(known)) is not None) is is_plain
    assert sent([[] for _ in range(100 * count)]) is not None  # known there alone


@pytest.mark.parametrize(
    "make",
    [
        *(lambda one: [one], lambda one: {"a": one}, lambda one: one, lambda one: [{"a": [one]}]),
        lambda one: {one: None},
    ],
    ids=["in a list", "in a dict", "alone", "in lists and dicts", "as a key"],
)
def test_what_is_written_can_be_read_however_deep(make: Callable[[object], object]) -> None:
    """The writer and the reader count the same depth, in a list and a dict too."""
    nested: tuple[object, ...] = ()
    while (written := sent(make(nested))) is not None:
        assert plain_value(written) == make(nested)
        nested = (nested,)
    assert nested


class Number(int):
    """Not an int itself."""


def test_subclasses_are_not_plain() -> None:
    """They would come back as what they are made of."""
    assert sent(Number(1)) is None
    assert sent((Number(1),)) is None


def test_any_bytes_give_a_value_or_a_value_error() -> None:
    """Whatever a child writes: bytes of a value with some changed, cut off or added."""
    source = random.Random(12)
    for value in (
        *((1, "text", (2.5, b"bytes", None)), [1, (2, "a")], {"a": (1, 2), 3: "b"}),
        [[1, {"a": [2.5]}], ({(1, "b"): [None, ()]},)],
    ):
        written = sent(value)
        assert written is not None
        for _ in range(3000):
            changed = bytearray(written)
            for _ in range(source.randrange(4)):
                changed[source.randrange(len(changed))] = source.randrange(256)
            cut = bytes(changed[: source.randrange(len(changed) + 1)]) + source.randbytes(
                source.randrange(3)
            )
            with suppress(ValueError):
                plain_value(cut)


@pytest.mark.parametrize(
    "written",
    [
        *(b"", b"x", b"n ", b"i1", b"(\xff\xff\xff\xff", b"{\1\0\0\0[\0\0\0\0n"),
        *(b"{\1\0\0\0(\1\0\0\0[\0\0\0\0n", b"[\1\0\0\0" * 17 + b"n"),
    ],
)
def test_bytes_of_no_value_are_refused(written: bytes) -> None:
    """An unknown letter, more or less than a value, a count beyond the end, a list as a key, too deep."""
    with pytest.raises(ValueError, match="expected a plain value"):
        plain_value(written)
