import os
from array import array
from collections.abc import Iterator

import numpy as np
import pytest

from ramet._program.capture import Buffer, Exchange, raw_bytes

# Around the sizes at which a buffer grows, or moves.
SIZES = (0, 1, 4095, 4096, 4097, 65536, 65537, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_000_000)


@pytest.fixture
def memfd() -> Iterator[int]:
    """A file of its own, to read from as from a pipe that never makes one wait."""
    descriptor = os.memfd_create("test")
    yield descriptor
    os.close(descriptor)


def pattern(size: int) -> bytes:
    """Bytes of which no two neighbouring pages are alike."""
    return b"".join(b"%08x" % n for n in range(size // 8 + 1))[:size]


def fill(descriptor: int, data: bytes) -> None:
    assert os.write(descriptor, data) == len(data)
    os.lseek(descriptor, 0, os.SEEK_SET)


def read_all(buffer: Buffer, descriptor: int) -> None:
    while buffer.read_from(descriptor):
        pass


@pytest.mark.parametrize("size", SIZES)
def test_a_buffer_holds_what_was_read(size: int, memfd: int) -> None:
    """What a file has is what comes out, as bytes, whatever its length."""
    fill(memfd, pattern(size))
    buffer = Buffer()
    read_all(buffer, memfd)
    value = buffer.value()
    assert type(value) is bytes
    assert value == pattern(size)
    buffer.close()
    assert value == pattern(size)


@pytest.mark.parametrize("size", SIZES)
def test_a_buffer_for_text_decodes_what_was_read(size: int, memfd: int) -> None:
    """The text is that of the bytes, which can be had as well."""
    fill(memfd, pattern(size))
    buffer = Buffer(becomes_text=True)
    read_all(buffer, memfd)
    assert buffer.text("ascii", None) == pattern(size).decode()
    assert buffer.value() == pattern(size)
    assert buffer.text("utf-8", "strict") == pattern(size).decode()
    buffer.close()


@pytest.mark.parametrize("becomes_text", [False, True])
def test_a_value_stays_as_it_is_while_reading_goes_on(becomes_text: bool, memfd: int) -> None:
    """Bytes once handed out never change, although they were handed out without a copy."""
    fill(memfd, pattern(3_000_000))
    buffer = Buffer(becomes_text=becomes_text)
    taken = []
    while buffer.read_from(memfd):
        taken.append(buffer.value())
    assert len(taken) > 3
    for value in taken:
        assert value == pattern(len(value))
    assert buffer.value() == pattern(3_000_000)
    buffer.close()


def test_a_value_is_handed_over_without_a_copy(memfd: int) -> None:
    """Asked twice for the same, it gives the same object."""
    fill(memfd, pattern(100_000))
    buffer = Buffer()
    read_all(buffer, memfd)
    assert buffer.value() is buffer.value()
    buffer.close()


BUFFERS = {
    "bytes": b"12345678",
    "bytearray": bytearray(b"12345678"),
    "memoryview": memoryview(b"12345678"),
    "memoryview with gaps": memoryview(b"1x2x3x4x5x6x7x8x")[::2],
    "array of words": array("I", [0x34333231, 0x38373635]),
    "numpy": np.array([0x34333231, 0x38373635], dtype="<u4"),
    "numpy, big endian": np.array([0x31323334, 0x35363738], dtype=">u4"),
    "numpy, transposed": np.array([[49, 51, 53, 55], [50, 52, 54, 56]], dtype="u1").T,
    "numpy, records": np.frombuffer(b"12345678", dtype=[("a", "<u4"), ("b", "<u4")]),
}


@pytest.mark.parametrize("name", BUFFERS)
def test_the_bytes_of_any_buffer(name: str) -> None:
    """Whatever has a buffer is sent as the bytes that bytes() makes of it."""
    assert bytes(raw_bytes(BUFFERS[name])) == b"12345678"


def test_the_bytes_of_a_buffer_are_not_copied() -> None:
    """A view shows the very memory, where it lies in one piece."""
    data = array("I", [0, 0])
    view = raw_bytes(data)
    data[0] = 0x34333231
    assert bytes(view[:4]) == b"1234"


@pytest.mark.parametrize("data", [b"", bytearray(), array("I")], ids=repr)
def test_an_empty_buffer_has_no_bytes(data: object) -> None:
    """Nothing is nothing, in any format."""
    assert len(raw_bytes(data)) == 0


@pytest.mark.parametrize("data", ["text", 5, None, [1]], ids=repr)
def test_what_has_no_buffer_is_a_type_error(data: object) -> None:
    """Only objects with a buffer can be sent."""
    with pytest.raises(TypeError):
        raw_bytes(data)


def test_an_exchange_with_nobody_is_over_at_once(nothing_left: object) -> None:
    """Without a pipe there is nothing to do, and no output."""
    exchange = Exchange(None, None, None, None)
    assert exchange.run(None)
    assert exchange.so_far() == (None, None)
    assert exchange.outcome() == (None, None)
