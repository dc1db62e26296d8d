"""What a hostile child may send in the place of a result: honest ones, changed in all their parts.

The texts are changed as trees and as bytes, the buffers beside them, and the messages that carry both: on a
socket, in a sealed memfd, and in memory that is shared.
"""

import datetime as dt
import decimal
import fcntl
import functools
import json
import os
import random
import socket
import struct
import tracemalloc
from array import array
from collections import Counter
from collections.abc import Callable
from typing import Any

from ramet._process import data_codec, result_layout
from ramet._process.result_channel import ResultChannel
from ramet._workers.crossing.messages import Channel, receive
from ramet._workers.crossing.outcome import Reader
from ramet.errors import RemoteError, ResultError, SpawnError

ROOM = 1 << 13  # bytes of shared memory
MOST_BYTES = 1 << 20  # that a result may take
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
WEIGHED = 10  # of so many one: it takes as long as the others together

VALUES: list[Any] = [
    {"id": 12, "ok": True, "score": 0.25, "name": "a name", "tags": ["a", "b"]},
    [1, (2, {3, 4}), frozenset({5}), {6: 7, (8,): None}, 1 << 3000, -1e300, 1j, "é\udcff"],
    [b"short", b"long" * 99, bytearray(b"buffer" * 50), array("d", [1, 2, 3])],
    [dt.date(2026, 1, 1), dt.time(1, 2), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)],
    [dt.timedelta(1, 2, 3), decimal.Decimal("1.5"), [[[[[]]]]], {"": {"": ()}}, set(range(99))],
]
ARRAYS = [
    {"$numpy": ["<f8", [2, 3]]},
    {"$numpy": ["|u1", [48]]},
    {"$numpy": ["<f4", None]},
    {"$numpy": ["<U2", [6]]},
    {"$numpy": [">M8[D]", [2, 1, 3]]},
]
BESIDE_ARRAYS = [bytes(range(48)), bytes(48), bytes(4), bytes(48), bytes(range(48))]

NUMBERS = [0, 1, 2, 7, 8, 63, 64, 255, 1 << 12, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 64) - 1]
WORDS = [
    *(b"[", b"]", b"{", b"}", b'"', b",", b":", b"null", b"1e999", b"-", b"NaN", b"\xff", b"\\u"),
    *(b'{"$Decimal":"1e9999999"}', b'{"$timedelta":[1e99,0,0]}', b"9" * 5000, b"[" * 2000),
    *(b'["\xf0\x9f\x98\x80', b"\\ud800", b"\\", b"\0", b" " * 300, b'{"":' * 300, b"0," * 1000),
]
TYPES = [
    "int",
    "tuple",
    "set",
    "frozenset",
    "dict",
    "bytes",
    "bytearray",
    "array",
    "complex",
    "date",
]
TYPES += ["exception", "time", "datetime", "timedelta", "Decimal", "numpy", "object", ""]
ATOMS: list[Any] = [
    *(None, True, False, 0, -1, 1 << 40, -(1 << 63), 1 << 2047, 0.0, 1e308, float("inf"), "", "x"),
    *(float("nan"), "\ud800", "\0", "é", "\U0001f600" * 9, "9" * 700, "1e1000026", "-1e9999999"),
    *("sNaN", "<f8", "|O", "<U999999999", "<M8[D]", "|S0", "2026-01-01", "9999-12-31T23:59:60"),
    *("2026-01-01T00:00+23:59:59.999999", "ffffffff", "d", "O", [], {}, [[]], {"a": 1}, [0] * 200),
    [k * ((1 << 61) - 1) for k in range(100)],
]


def mutated_tree(tree: Any, chance: random.Random) -> Any:
    """The same with one of its nodes changed."""
    if isinstance(tree, list | dict) and tree and chance.random() < 0.75:
        places = list(tree) if isinstance(tree, dict) else range(len(tree))
        place = chance.choice(places)
        changed = tree.copy()
        changed[place] = mutated_tree(tree[place], chance)
        return changed
    return chance.choice(_CHANGES)(tree, chance)


def _as_type(tree: Any, chance: random.Random) -> Any:
    return {f"${chance.choice(TYPES)}": tree}


def _with_another_type(tree: Any, chance: random.Random) -> Any:
    if not isinstance(tree, dict) or len(tree) != 1:
        return chance.choice(ATOMS)
    return {f"${chance.choice(TYPES)}": next(iter(tree.values()))}


def _spread(tree: Any, chance: random.Random) -> Any:
    return [tree] * chance.choice([2, 2, 2, 3, 3, 70])


def _with_more(tree: Any, chance: random.Random) -> Any:
    if isinstance(tree, list):
        return [*tree, *chance.choices(ATOMS, k=chance.choice([1, 2, 70]))]
    if isinstance(tree, dict):
        return {**tree, **{f"k{n}": chance.choice(ATOMS) for n in range(chance.choice([1, 70]))}}
    return {str(tree): tree}


def _with_less(tree: Any, chance: random.Random) -> Any:
    return tree[: chance.randrange(len(tree))] if isinstance(tree, list | str) and tree else None


_CHANGES: list[Callable[[Any, random.Random], Any]] = [
    lambda _, chance: chance.choice(ATOMS),
    lambda _, chance: chance.choice(TREES),
    lambda tree, _: [[[tree]]],
    *(_as_type, _with_another_type, _spread, _with_more, _with_less),
]


def mutated_bytes(seed: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """The same with some of its bytes changed."""
    data = bytearray(seed or b"0")
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        place = chance.randrange(len(data))
        how = chance.random()
        if how < 0.3:
            data[place] = chance.randrange(256)
        elif how < 0.55:
            data[place:place] = chance.choice(WORDS)
        elif how < 0.7:
            del data[place : place + chance.randrange(16)]
        elif how < 0.85:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            data[place:place] = other[start : start + chance.randrange(64)]
        else:
            data[place : place + 8] = struct.pack("=Q", chance.choice(NUMBERS))
        data = data[:ROOM] or bytearray(1)
    return bytes(data)


def mutated_buffers(buffers: list[bytes], chance: random.Random) -> list[bytes]:
    """The same with one of them changed, lost or doubled."""
    if not buffers or chance.random() < 0.6:
        return buffers if chance.random() < 0.9 else [*buffers, b"x"]
    changed, place = buffers.copy(), chance.randrange(len(buffers))
    how = chance.randrange(4)
    if how == 0:
        del changed[place]
    elif how == 1:
        changed.insert(place, changed[place])
    else:
        size = chance.choice([0, 1, 7, 8, len(changed[place]) + 1])
        changed[place] = changed[place][:size].ljust(size, b"y") if how == 2 else os.urandom(size)
    return changed


# ---- what honest children write


def written(write: Callable[[memoryview], object]) -> bytes:
    """In shared memory."""
    channel = ResultChannel(ROOM)
    write(memoryview(channel))
    return bytes(memoryview(channel)).rstrip(b"\0")


def put_data(value: object, room: memoryview) -> None:
    """As a child does."""
    result_layout.write(room, result_layout.DATA, *data_codec.encoded(value))


def in_memory() -> list[bytes]:
    """Of each kind."""
    made = [written(functools.partial(put_data, value)) for value in VALUES]
    made += [written(lambda room: result_layout.put_error(room, KeyError("missing")))]
    made += [written(lambda room: result_layout.put_value(room, {"a": [1, 2, 3]}))]
    made += [written(lambda room: result_layout.put_failure(room, 3, 13))]
    made += [written(lambda room: result_layout.put_lost(room, "it is lost"))]
    for plain in (1, 0.5, "text", b"bytes", (1, ("a", 2.0)), [1, "b"], {"a": (1,), 2: b"c"}):
        channel = ResultChannel(ROOM)
        channel.deliver(lambda value=plain: value, ())
        made.append(bytes(memoryview(channel)).rstrip(b"\0"))
    return made


def _parts(value: object) -> tuple[Any, list[bytes]]:
    text, buffers = data_codec.encoded(value)
    return json.loads(text.decode("utf-8", "surrogatepass")), list(map(bytes, buffers))


IN_MEMORY = in_memory()
PARTS = [*map(_parts, VALUES), (ARRAYS, BESIDE_ARRAYS)]
TREES: list[Any] = [tree for tree, _ in PARTS] + [
    [
        {"$exception": ["ValueError", "a \x1b[31mmessage", "a traceback\n"]},
        {"$exception": ["", "", ""]},
    ],
    ["ValueError", "message", "traceback"],
    ["setuid", 1, None],
]
TEXTS = [json.dumps(tree).encode("utf-8", "surrogatepass") for tree in TREES]
PLAIN = [data[64:] for data in IN_MEMORY if data[16] == result_layout.PLAIN]
KINDS = [
    *[result_layout.DATA] * 8,
    *(result_layout.RAISED, result_layout.UNPREPARED, result_layout.LOST, result_layout.PLAIN),
    *(result_layout.VALUE, result_layout.NOTHING, 77),
]


def mutated_parts(chance: random.Random) -> tuple[int, list[bytes]]:
    """A kind of outcome and its parts: text, and buffers."""
    kind = chance.choice(KINDS)
    if kind == result_layout.PLAIN:
        return kind, [mutated_bytes(chance.choice(PLAIN), chance, PLAIN)]
    tree, buffers = chance.choice(PARTS)
    if kind != result_layout.DATA:
        tree, buffers = chance.choice(TREES), []
    for _ in range(chance.choice([0, 1, 1, 1, 2, 4])):
        tree = mutated_tree(tree, chance)
    text = json.dumps(tree, ensure_ascii=chance.random() < 0.5)
    data = text.encode("utf-8", "surrogatepass")[: 1 << 17]
    if chance.random() < 0.2:
        data = mutated_bytes(data, chance, TEXTS)
    return kind, [data, *mutated_buffers(buffers, chance)]


# ---- what carries them


class Shared:
    """Memory that a child has shared with its caller."""

    def __init__(self) -> None:
        self._channel = ResultChannel(ROOM)

    def send(self, chance: random.Random) -> None:
        """Something mutated."""
        data = bytearray(mutated_bytes(chance.choice(IN_MEMORY), chance, IN_MEMORY))
        if chance.random() < 0.3:
            data = data.ljust(24, b"\0")
            struct.pack_into("=Q", data, 8 * chance.randrange(3), chance.choice(NUMBERS))
        if (
            len(data) >= 24 and chance.random() < 0.5
        ):  # a length that fits, so that the text is read
            count = 0 if chance.random() < 0.5 else struct.unpack_from("=Q", data)[0]
            struct.pack_into("=QQ", data, 0, count, max(0, len(data) - 64 - 8 * count))
        self.write(bytes(data[:ROOM]))

    def write(self, data: bytes) -> None:
        """As a child does."""
        memoryview(self._channel)[:] = data.ljust(ROOM, b"\0")

    def take(self) -> tuple[int, Any]:
        """The kind of outcome, and it."""
        return self._channel.take()

    def outcome(self) -> tuple[bool, Any]:
        """(False, a value) or (True, an error)."""
        kind, outcome = self.take()
        assert kind in {result_layout.VALUE, result_layout.RAISED, result_layout.NOTHING}
        return kind == result_layout.RAISED, outcome


class Wire:
    """A channel, whose other end is the child's."""

    def __init__(self) -> None:
        self._reader = Reader(trusted=False, in_any_pid_namespace=False, most_bytes=MOST_BYTES)

    def send(self, chance: random.Random) -> None:
        """Something mutated."""
        kind, parts = mutated_parts(chance)
        in_memfd = chance.random() < 0.1 or sum(map(len, parts)) > 60_000
        data, held = _in_memfd(kind, parts, chance) if in_memfd else (_inline(kind, parts), [])
        if chance.random() < 0.15:
            data = _with_another_head(data, chance)
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours.detach())
        with theirs:
            theirs.setblocking(False)
            socket.send_fds(theirs, [data], held)
        for descriptor in held:
            os.close(descriptor)

    def outcome(self) -> tuple[bool, Any]:
        """(False, a value) or (True, an error)."""
        try:
            message = receive(self._channel, 0.0, most_bytes=self._reader.most_bytes)
        except (ValueError, OSError) as error:
            return True, ResultError(str(error))
        finally:
            self._channel.close()
        if message is None:
            return False, None
        for descriptor in message[2]:
            os.close(descriptor)
        return self._reader.read(message, os.getpid(), None)


def _inline(kind: int, parts: list[bytes]) -> bytes:
    head = struct.pack("=BBHI", kind, 0, 0, len(parts))
    return head + struct.pack(f"={len(parts)}Q", *map(len, parts)) + b"".join(parts)


def _in_memfd(kind: int, parts: list[bytes], chance: random.Random) -> tuple[bytes, list[int]]:
    laid = b"".join(part.ljust(-(-len(part) // 64) * 64, b"\0") for part in parts)
    memory = os.memfd_create("mutated", os.MFD_ALLOW_SEALING)
    os.write(memory, laid)
    os.truncate(memory, chance.choice([len(laid), len(laid), len(laid), 0, 1, 1 << 40]))
    seals = chance.choice([SEALS, SEALS, SEALS, SEALS | fcntl.F_SEAL_SEAL, 0, SEALS & ~0x8, 0x16])
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
    lengths = [0, *map(len, parts)]
    if chance.random() < 0.2:
        lengths[chance.randrange(len(lengths))] = chance.choice(NUMBERS)
    head = struct.pack("=BBHI", kind, 1, 1, len(lengths))
    return head + struct.pack(f"={len(lengths)}Q", *lengths), [memory]


def _with_another_head(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    how = chance.randrange(4)
    if how == 0:
        changed[chance.randrange(8)] = chance.randrange(256)
    elif how == 1:
        del changed[chance.randrange(len(changed)) :]
    elif how == 2:
        place = 8 * chance.randrange(1, 4)
        changed[place : place + 8] = struct.pack("=Q", chance.choice(NUMBERS))
    else:
        changed += os.urandom(16)
    return bytes(changed) or b"\0"


# ---- the judgement

DATA_TYPES = {type(None), bool, int, float, complex, str, bytes, bytearray, array, decimal.Decimal}
DATA_TYPES |= {dt.date, dt.time, dt.datetime, dt.timedelta}


def assert_data(value: object) -> None:
    """Of no other types than data has."""
    if isinstance(value, dict):
        assert_data([*value, *value.values()])
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            assert_data(item)
    elif type(value) is RemoteError:
        assert_data(list(vars(value).values()))
    elif type(value) not in DATA_TYPES:
        assert type(value).__module__ == "numpy"


def judge(rounds: int, seed: int) -> Counter[str]:
    """Read so many mutated results; how many were values, and how many errors, of each carrier.

    Each is a value of data, or a ResultError, or what a failed step of the child's setup is. None takes
    more than MOST_BYTES, which is measured of each tenth.
    """
    chance = random.Random(seed)
    carriers: list[Shared | Wire] = [Shared(), Wire(), Wire()]
    counted: Counter[str] = Counter()
    for round_ in range(rounds):
        carrier = carriers[round_ % len(carriers)]
        carrier.send(chance)
        weighs = round_ % WEIGHED == 0 and round_ > 1000  # by then all is imported
        if weighs:
            tracemalloc.start()
        raised, outcome = carrier.outcome()
        if weighs:
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert most < MOST_BYTES, f"{carrier} {outcome!r:.200}"
        if raised:
            assert isinstance(outcome, ResultError | SpawnError)
        else:
            assert_data(outcome)
        counted[f"{type(carrier).__name__} {'error' if raised else 'value'}"] += 1
    return counted
