"""Messages: what is small crosses a socket, what is large a sealed memfd, in huge pages if it can."""

import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from ramet._core import OwnMemory, fill_memory, memory_of, settle_memory
from ramet._workers.crossing.messages import Channel, _mapped, channels, receive, send

from ...constants import SECONDS
from ...waiting import until

KIND = 7
SOON = 0.1  # seconds
FALLOC_FL_KEEP_SIZE = 1
MEGABYTE = 1 << 20
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


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


# ---- memory that goes back


def taken_over(ends: tuple[Channel, Channel], *parts: bytes) -> Sequence[Any]:
    """The parts as a child gets them, that may write to what comes after the first two."""
    send(ends[0], KIND, parts, sealed=False)
    message = receive(ends[1], done_with=2)
    assert message is not None
    return message[1]


@pytest.fixture
def memory(ends: tuple[Channel, Channel]) -> tuple[Sequence[Any], bytes]:
    """Parts in memory that goes back, and what the last one was."""
    content = os.urandom(MEGABYTE)
    return taken_over(ends, b"", b"a pickle" * 20, content), content


def returned(ends: tuple[Channel, Channel], *parts: Any) -> tuple[list[bytes], int, int]:
    """The parts as the caller gets them, the inode of the memfd, and how many bytes lie before them."""
    send(ends[1], KIND, parts)
    kind, lengths, (descriptor,), in_memfd = ends[0].receive(None)  # type: ignore[misc]
    assert (kind, in_memfd) == (KIND, True)
    inode = os.fstat(descriptor).st_ino
    views = _mapped([descriptor], lengths, 0)
    return [bytes(view) for view in views], inode, lengths[0]


def inode_of(part: Any) -> int:
    """Of the memfd that it lies in."""
    found = memory_of(part)
    assert found is not None
    return os.fstat(found[0].fileno()).st_ino


def test_what_is_changed_in_place_goes_back_in_the_same_memory(
    ends: tuple[Channel, Channel], memory: tuple[Sequence[Any], bytes]
) -> None:
    """It is not copied; what is written to it later is not seen there."""
    (_, _, part), content = memory
    inode = inode_of(part)
    part[0] = content[0] ^ 1
    send(ends[1], KIND, (b"a result", part))
    part[1] ^= 1
    message = receive(ends[0])
    assert message is not None
    head, back = message[1]
    assert bytes(head) == b"a result"
    assert bytes(back) == bytes([content[0] ^ 1]) + content[1:]
    assert returned(ends, b"again", part)[1] != inode


def test_the_memory_that_goes_back_is_the_one_that_came(
    ends: tuple[Channel, Channel], memory: tuple[Sequence[Any], bytes]
) -> None:
    """Also for a part of the array at its beginning; what lies before the message is skipped."""
    part, inode = memory[0][2], inode_of(memory[0][2])
    parts, back, gap = returned(ends, b"a result", part[:500_000])
    assert parts == [b"a result", memory[1][:500_000]]
    assert (back, gap) == (inode, 128)


@pytest.mark.parametrize("place", [1, 64, 1000])
def test_what_does_not_lie_at_the_beginning_is_copied(
    ends: tuple[Channel, Channel], memory: tuple[Sequence[Any], bytes], place: int
) -> None:
    """There is no room before it: other parts lie there, which the function may still use."""
    part = memory[0][2]
    parts, inode, _ = returned(ends, b"a result", part[place:])
    assert parts == [b"a result", memory[1][place:]]
    assert inode != inode_of(part)
    assert bytes(part) == memory[1]


def test_a_result_whose_head_has_no_room_is_copied(
    ends: tuple[Channel, Channel], memory: tuple[Sequence[Any], bytes]
) -> None:
    """Its pickle is longer than that of the call."""
    parts, inode, _ = returned(ends, b"x" * 1000, memory[0][2])
    assert parts == [b"x" * 1000, memory[1]]
    assert inode != inode_of(memory[0][2])


def test_memory_is_settled_before_a_fork(
    ends: tuple[Channel, Channel], memory: tuple[Sequence[Any], bytes]
) -> None:
    """It has its content still, and is not passed on: a fork has a part in it."""
    part, content = memory[0][2], memory[1]
    settle_memory()
    assert bytes(part) == content
    parts, inode, _ = returned(ends, b"a result", part)
    assert parts == [b"a result", content]
    assert inode != inode_of(part)


def test_memory_whose_descriptor_was_closed_keeps_its_content(
    ends: tuple[Channel, Channel], memory: tuple[Sequence[Any], bytes]
) -> None:
    """Whatever the number of the descriptor means by then."""
    part, content = memory[0][2], memory[1]
    found = memory_of(part)
    assert found is not None
    with open(os.devnull, "rb") as other:
        os.dup2(other.fileno(), found[0].fileno())
    part[0] ^= 1
    assert not found[0].seal()
    parts, _, _ = returned(ends, b"a result", part)
    assert parts == [b"a result", bytes([content[0] ^ 1]) + content[1:]]
    settle_memory()
    assert bytes(part) == parts[1]
    os.close(found[0].fileno())


def test_memory_that_is_not_sealed_is_refused_by_a_caller(ends: tuple[Channel, Channel]) -> None:
    """Its writer could change it while it is read."""
    send(ends[0], KIND, (b"x" * MEGABYTE,), sealed=False)
    with pytest.raises(ValueError, match="sealed"):
        receive(ends[1])


def test_memory_that_is_too_small_is_refused() -> None:
    """A read beyond its end would be SIGBUS."""
    descriptor = os.memfd_create("test")
    try:
        os.truncate(descriptor, 4096)
        with pytest.raises(ValueError, match="invalid size: expected 1 to 4096, got 4097"):
            OwnMemory(descriptor, 4097, 0)
    finally:
        os.close(descriptor)


# ---- what a hostile child may send


def sealed_memory(size: int, flags: int = 0, *, filled: int = 0, beyond: int = 0) -> int:
    """A memfd of that size, of which so many bytes are written, sealed; beyond: with so many behind it."""
    try:
        memory = os.memfd_create("test", os.MFD_ALLOW_SEALING | flags)
    except OSError:
        pytest.skip("there is no hugetlbfs here")
    os.truncate(memory, size)
    if filled:
        os.write(memory, b"x" * filled)
    if beyond:
        allocate = ctypes.CDLL(None, use_errno=True).fallocate
        allocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
        assert allocate(memory, FALLOC_FL_KEEP_SIZE, size, beyond) == 0, ctypes.get_errno()
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, SEALS)
    return memory


@pytest.mark.parametrize(
    ("size", "flags", "filled", "beyond"),
    [
        (2 * MEGABYTE, os.MFD_HUGETLB, 0, 0),
        (1 << 40, 0, 0, 0),
        (2 * MEGABYTE, 0, MEGABYTE, 0),
        (2 * MEGABYTE, 0, 4096, 2 * MEGABYTE),
    ],
    ids=["hugetlbfs", "a hole", "half a hole", "as many pages beyond its end"],
)
def test_memory_whose_pages_are_not_there_is_refused(
    ends: tuple[Channel, Channel], size: int, flags: int, filled: int, beyond: int
) -> None:
    """Else the reader pays for them, or is killed by SIGBUS at its first read."""
    memory = sealed_memory(size, flags, filled=filled, beyond=beyond)
    table = struct.pack("=BBHI2Q", KIND, 1, 1, 2, 0, size)
    with socket.socket(fileno=os.dup(ends[0].fileno())) as end:
        socket.send_fds(end, [table], [memory])
    os.close(memory)
    with pytest.raises(ValueError, match="sealed"):
        receive(ends[1])


def test_a_memfd_that_does_not_come_is_refused(ends: tuple[Channel, Channel]) -> None:
    """The head says that there is one, and that no descriptor comes with it."""
    os.write(ends[0].fileno(), struct.pack("=BBHI2Q", KIND, 1, 0, 2, 0, 100))
    with pytest.raises(ValueError, match="invalid message"):
        receive(ends[1])


@pytest.mark.parametrize("length", [60_000, MEGABYTE], ids=["beside the head", "in a memfd"])
def test_who_does_not_read_is_not_waited_for_without_end(
    ends: tuple[Channel, Channel], length: int
) -> None:
    """The time is that of the whole message; what had room before it can still be read."""

    def send_on() -> None:
        while True:
            send(ends[0], KIND, (bytes(length), *[b""] * 1000), timeout=SOON)

    with pytest.raises(TimeoutError, match="does not read"):
        send_on()
    message = receive(ends[1])
    assert message is not None
    assert len(message[1][0]) == length


def test_who_reads_slowly_gets_it_all(ends: tuple[Channel, Channel]) -> None:
    """A message that is longer than its socket has room for waits for its reader."""
    parts = [b""] * 100_000
    with ThreadPoolExecutor(1) as threads:
        sent = threads.submit(send, ends[0], KIND, (b"x" * 70_000, *parts), timeout=SECONDS)
        until(lambda: not has_room(ends[0].fileno()))
        message = receive(ends[1], SECONDS)
        sent.result(SECONDS)
    assert message is not None
    assert len(message[1]) == 1 + len(parts)


def has_room(descriptor: int) -> bool:
    """Whether there is room in a socket."""
    return bool(select.select([], [descriptor], [], 0)[1])


def test_a_channel_that_is_closed_while_it_sends_writes_to_no_other_file(
    ends: tuple[Channel, Channel],
) -> None:
    """The rest of a message does not go to the next file of the same number."""
    number, main = ends[0].fileno(), threading.get_ident()
    files: list[int] = []

    def take_its_number(*_: object) -> None:
        ends[0].close()
        files.append(os.memfd_create("test"))

    def send_on() -> None:
        while True:
            ends[0].send(KIND, (b"x" * 5000,))

    def interrupt() -> None:
        while not files:
            signal.pthread_kill(main, signal.SIGUSR1)
            os.sched_yield()

    with socket.socket(fileno=os.dup(number)) as end, suppress(BlockingIOError):
        while True:
            end.send(b"x" * 4096, socket.MSG_DONTWAIT)
    before = signal.signal(signal.SIGUSR1, take_its_number)
    interrupter = threading.Thread(target=interrupt)
    try:
        interrupter.start()
        with pytest.raises(ValueError, match="it has been closed"):
            send_on()
        interrupter.join()
        assert os.fstat(files[0]).st_size == 0
    finally:
        signal.signal(signal.SIGUSR1, before)
        for file in files:
            os.close(file)
