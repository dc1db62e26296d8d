"""How a call and its outcome cross: a message over a stream socket, large ones in a sealed memfd.

A message is a kind and some parts, each of any length. Up to 64 KiB the parts follow the head on the
socket. More than that lies in a memfd, which is sealed and passed with the head: the reader maps it, so
that what it holds is copied once, by the writer, and never through the socket.

Sealed means that nobody can change or shorten it any more, and all its pages are there: the reader needs
no trust in the writer, and gets no SIGBUS. The reader's mapping is private, so that arrays in it can be
written to. A child, which trusts its caller, gets a memfd that is not sealed and that it alone has: an
array that it changes in place goes back in it.
"""

import errno
import fcntl
import os
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, TypeAlias

from ... import _core
from ..._core import Channel, OwnMemory, channels
from ..._kernel.memory_file import explained, memory_file

__all__ = [
    "Channel",
    "LostError",
    "Message",
    "channels",
    "close_received",
    "receive",
    "send",
    "understood",
]

# What has arrived: its kind, its parts, which nobody else writes to, and descriptors that the reader owns.
Message: TypeAlias = tuple[int, Sequence[Any], Sequence[int]]

# The same as the core has it: descriptors are None where they were lost; last is whether the parts lie in a
# memfd, the first descriptor, and are their lengths.
Received: TypeAlias = tuple[int, Sequence[Any], Sequence[int] | None, bool]


class LostError(OSError):
    """The descriptors of a message are lost.

    EMFILE: this process has too many open ones. ETOOMANYREFS: too many are in sockets, and not received.
    """

    def __init__(self, kind: int, parts: Sequence[Any], number: int = errno.EMFILE) -> None:
        super().__init__(number, os.strerror(number))
        self.kind = kind
        self.parts = parts


_NO_GAP = b""  # before the parts in a memfd
_ALIGNMENT = 64  # native/python/huge_pages.c
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MOST_BUFFERS = 1000  # of one writev(2); IOV_MAX is 1024


def send(
    channel: Channel,
    kind: int,
    parts: tuple[Any, ...],
    descriptors: tuple[int, ...] = (),
    *,
    sealed: bool = True,
    timeout: float | None = None,
) -> None:
    """Send a message. parts: bytes-like; descriptors: of the caller, which keeps them.

    sealed: whether the reader is to see that this process cannot change what it has sent. timeout: how
    many seconds it may take the other side to make room, which it has to do for a message of many parts
    alone: if it has read the others.
    Raises BrokenPipeError or ConnectionResetError when the other side is gone, TimeoutError when it has not
    made room, and may have got a part of the message, and OSError when there is no memory for it.
    """
    if channel.send(kind, parts, descriptors, False, timeout):
        return
    if (passed_on := _passed_on(parts)) is not None:
        memory, gap = passed_on
        channel.send(kind, (gap, *parts), (memory.fileno(), *descriptors), True, timeout)
        return
    written = _written(parts, sealed=sealed)
    try:
        channel.send(kind, (_NO_GAP, *parts), (written, *descriptors), True, timeout)
    finally:
        os.close(written)


def _passed_on(parts: tuple[Any, ...]) -> tuple[OwnMemory, memoryview] | None:
    """The memory in which the last part lies already, with the one before it, and the gap before both.

    None when it lies in none, when there are others, or no room.
    """
    head, *buffers = parts
    found = _core.memory_of(buffers[0]) if len(buffers) == 1 else None
    if found is None:
        return None
    memory, place = found
    start = place - _places([len(head)])[-1]
    if start < 0 or start % _ALIGNMENT or memory.free < place:
        return None
    view = memoryview(memory)
    view[start : start + len(head)] = head
    return (memory, view[:start]) if memory.seal() else None


def receive(
    channel: Channel,
    timeout: float | None = None,
    pidfd: int | None = None,
    *,
    done_with: int = 0,
    most_bytes: int | None = None,
) -> Message | None:
    """The next message; None when the other side is gone.

    pidfd: of the process there; its end counts, though one that it has forked may have the socket.
    done_with: for one who trusts the sender: so many of the first parts are of no use any more when the
    next message is sent. The others may then lie in memory that is written to in place, and is passed on.
    most_bytes: that it may have; None: any number.
    Raises TimeoutError when it has not come in so many seconds; ValueError for what is no message;
    LostError when there was no room for its descriptors; OSError.
    """
    received = channel.receive(timeout, -1 if pidfd is None else pidfd)
    if received is None:
        return None
    if received is False:
        raise TimeoutError
    kind, parts, descriptors, in_memfd = received
    if descriptors is not None and not in_memfd:
        return kind, parts, descriptors
    return understood(received, done_with=done_with, most_bytes=most_bytes)


def understood(received: Received, *, done_with: int = 0, most_bytes: int | None = None) -> Message:
    """What Channel.receive() gave, as the message that it is. Raises as receive() does."""
    kind, parts, descriptors, in_memfd = received
    if descriptors is None:
        raise LostError(kind, parts)
    if not in_memfd:
        return kind, parts, descriptors
    return kind, _mapped(descriptors, parts, done_with, most_bytes), descriptors[1:]


def _written(parts: tuple[Any, ...], *, sealed: bool) -> int:
    """A memfd with the parts in it, each aligned; the caller closes it."""
    memory = memory_file("ramet message", os.MFD_ALLOW_SEALING)
    size = _places(map(len, parts))[-1]
    try:
        os.truncate(memory, size)
        if not _core.fill_memory(memory, size, parts):
            _write_all(memory, _padded(parts))
        if sealed:
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException as error:
        os.close(memory)
        if isinstance(error, OSError):
            raise explained(error) from None
        raise
    return memory


def _places(lengths: Iterable[int]) -> list[int]:
    """Where each part begins, and where the last one ends."""
    rounded = (-(-length // _ALIGNMENT) * _ALIGNMENT for length in lengths)
    return list(accumulate(rounded, initial=0))


def _padded(parts: Iterable[Any]) -> list[memoryview]:
    chunks = []
    for part in parts:
        chunks += [memoryview(part).cast("B"), memoryview(bytes(-len(part) % _ALIGNMENT))]
    return [chunk for chunk in chunks if chunk.nbytes]


def _write_all(descriptor: int, chunks: list[memoryview]) -> None:
    while chunks:
        written = os.writev(descriptor, chunks[:_MOST_BUFFERS])
        while chunks and written >= chunks[0].nbytes:
            written -= chunks.pop(0).nbytes
        if written:
            chunks[0] = chunks[0][written:]


def _mapped(
    descriptors: Sequence[int],
    lengths: Sequence[int],
    done_with: int,
    most_bytes: int | None = None,
) -> list[memoryview]:
    """Views of the parts after the gap in the memfd, the first descriptor; they hold its memory.

    When it is not what it must be, all descriptors are closed.
    """
    places = _places(lengths)
    if most_bytes is not None and places[-1] > most_bytes:
        for descriptor in descriptors:
            close_received(descriptor)
        raise ValueError(f"invalid message: expected at most {most_bytes} bytes, got {places[-1]}")
    try:
        if done_with and not _seals(descriptors[0]) & fcntl.F_SEAL_WRITE:
            free = places[min(1 + done_with, len(lengths))]
            whole = memoryview(_own_memory(descriptors[0], places[-1], free))
        else:
            whole = memoryview(_private_memory(descriptors[0], places[-1]))
    except BaseException:
        for descriptor in descriptors[1:]:
            close_received(descriptor)
        raise
    views = [whole[at : at + n] for at, n in zip(places, lengths, strict=False)]
    return views[1:]


def _private_memory(memory: int, size: int) -> _core.PrivateMapping:
    """Of a memfd that must be sealed; it is closed."""
    try:
        if _seals(memory) & _SEALS != _SEALS or not _has_all_pages(memory, size):
            raise ValueError(f"invalid message: expected a memfd of {size} bytes that is sealed")
        return _core.PrivateMapping(memory, size)
    finally:
        close_received(memory)


def _has_all_pages(memory: int, size: int) -> bool:
    """Whether the file has so many bytes, each in a page that is there, and of the usual size.

    A page that is not there would be made at the first read, at the reader's cost, and a page of hugetlbfs
    at the first read or write: SIGBUS where there is none.
    """
    if os.fstatvfs(memory).f_bsize != os.sysconf("SC_PAGE_SIZE") or os.fstat(memory).st_size < size:
        return False
    # The pages are not counted: there may be others beyond the end of the file.
    return size == 0 or os.lseek(memory, 0, os.SEEK_HOLE) >= size


def _own_memory(memory: int, size: int, free: int) -> OwnMemory:
    """Of a memfd that only this process has; it is closed with the memory."""
    _settle_before_forks()
    try:
        return OwnMemory(memory, size, free)
    except BaseException:
        os.close(memory)
        raise


@cache
def _settle_before_forks() -> None:
    os.register_at_fork(before=_core.settle_memory)


def _seals(memory: int) -> int:
    """Those of a memfd, 0 of any other file: which is asked nothing else, as its maker may not answer."""
    try:
        return fcntl.fcntl(memory, fcntl.F_GET_SEALS)
    except OSError:
        return 0


def close_received(descriptor: int) -> None:
    """Close what came over a channel: without waiting, whatever its sender made it of.

    A close() of a file of FUSE waits for who serves that, one of a TCP socket that lingers for its peer: so
    what is no file in memory is closed by a thread, which may wait as long as the sender lives. Where the
    sender has used up all threads of its user, it is closed with what comes later.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        _core.close_aside(descriptor)
    else:
        os.close(descriptor)
