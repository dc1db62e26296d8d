"""Messages: what is small crosses a socket, what is large a sealed memfd, in huge pages if it can."""

import os
from collections.abc import Iterator

import pytest

from ramet._core import fill_memory
from ramet._workers.messages import Channel, channels, receive, send

KIND = 7
MEGABYTE = 1 << 20


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """Of a new socket."""
    ours, theirs = channels()
    yield ours, theirs
    ours.close()
    theirs.close()


def received(ends: tuple[Channel, Channel], *parts: bytes) -> list[bytes]:
    """The parts as they arrive."""
    send(ends[0], KIND, parts)
    message = receive(ends[1])
    assert message is not None
    assert message[0] == KIND
    return [bytes(part) for part in message[1]]


@pytest.mark.parametrize(
    "size", [0, 1, 1 << 16, (1 << 16) + 1, 2 * MEGABYTE - 1, 2 * MEGABYTE, 5 * MEGABYTE + 3]
)
def test_parts_of_any_size_arrive(ends: tuple[Channel, Channel], size: int) -> None:
    """Each as it was sent, among others, on both sides of where the ways part."""
    parts = b"plan", os.urandom(size), b"", b"x" * 63, os.urandom(size // 3)
    assert received(ends, *parts) == list(parts)


def test_more_parts_than_one_write_takes_arrive(ends: tuple[Channel, Channel]) -> None:
    """writev(2) takes some 1,000."""
    parts = [b"%d" % n for n in range(3000)] + [b"x" * (1 << 16)]
    assert received(ends, *parts) == parts


@pytest.mark.parametrize("size", [100_000, 3 * MEGABYTE])
def test_what_is_written_to_a_large_part_is_the_readers_alone(
    ends: tuple[Channel, Channel], size: int
) -> None:
    """The parts can be written to, and what was sent stays as it is."""
    sent = bytearray(size)
    send(ends[0], KIND, (sent,))
    message = receive(ends[1])
    assert message is not None
    message[1][0][0] = 1
    assert message[1][0][0] == 1
    assert sent[0] == 0


def test_small_memory_is_not_filled_in_huge_pages() -> None:
    """It is written."""
    memory = os.memfd_create("test")
    try:
        assert fill_memory(memory, 100, (b"x",)) is False
    finally:
        os.close(memory)


def test_parts_that_do_not_fit_are_refused() -> None:
    """Nothing is written beyond the memory; where the kernel makes no huge pages, nothing at all."""
    memory = os.memfd_create("test")
    try:
        os.truncate(memory, 2 * MEGABYTE)
        try:
            filled = fill_memory(memory, 2 * MEGABYTE, (b"x" * (2 * MEGABYTE), b"y"))
        except ValueError as error:
            assert "room for all parts" in str(error)
        else:
            assert filled is False
    finally:
        os.close(memory)
