"""How a call and its outcome cross: a message over a stream socket, large ones in a sealed memfd.

A message is a kind and some parts, each of any length. Up to 64 KiB the parts follow the head on the
socket. More than that lies in a memfd, which is sealed and passed with the head: the reader maps it, so
that what it holds is copied once, by the writer, and never through the socket.

Sealed means that nobody can change or shorten it any more: the reader needs no trust in the writer, and
gets no SIGBUS. The reader's mapping is private, so that arrays in it can be written to.
"""

import fcntl
import os
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from .. import _core
from .._core import Channel, channels

__all__ = ["Channel", "Message", "channels", "receive", "send"]

# What has arrived: its kind, its parts, which nobody else writes to, and descriptors that the reader owns.
Message: TypeAlias = tuple[int, Sequence[Any], Sequence[int]]

_ALIGNMENT = 64
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MOST_BUFFERS = 1000  # of one writev(2); IOV_MAX is 1024


def send(
    channel: Channel, kind: int, parts: tuple[Any, ...], descriptors: tuple[int, ...] = ()
) -> None:
    """Send a message. parts: bytes-like; descriptors: of the caller, which keeps them.

    Raises BrokenPipeError or ConnectionResetError when the other side is gone, and OSError when there
    is no memory for it.
    """
    if channel.send(kind, parts, descriptors):
        return
    memory = _sealed(parts)
    try:
        channel.send(kind, parts, (memory, *descriptors), True)
    finally:
        os.close(memory)


def receive(channel: Channel, timeout: float | None = None) -> Message | None:
    """The next message; None when the other side is gone.

    Raises TimeoutError when it has not come in so many seconds; ValueError for what is no message; OSError.
    """
    received = channel.receive(timeout)
    if received is None:
        return None
    if received is False:
        raise TimeoutError
    kind, parts, descriptors, in_memfd = received
    if not in_memfd:
        return kind, parts, descriptors
    return kind, _mapped(descriptors, parts), descriptors[1:]


def _sealed(parts: tuple[Any, ...]) -> int:
    """A sealed memfd with the parts in it, each aligned; the caller closes it."""
    memory = os.memfd_create("ramet message", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    size = _places(map(len, parts))[-1]
    try:
        os.truncate(memory, size)
        if not _core.fill_memory(memory, size, parts):
            _write_all(memory, _padded(parts))
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(memory)
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


def _mapped(descriptors: Sequence[int], lengths: Sequence[int]) -> list[memoryview]:
    """Views of the parts in the memfd, the first descriptor, which is closed; they hold its memory.

    When it is not what it must be, all descriptors are closed.
    """
    places = _places(lengths)
    try:
        _require_sealed(descriptors[0], places[-1])
        whole = memoryview(_core.PrivateMapping(descriptors[0], places[-1]))
    except BaseException:
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        raise
    finally:
        os.close(descriptors[0])
    return [whole[at : at + n] for at, n in zip(places, lengths, strict=False)]


def _require_sealed(memory: int, size: int) -> None:
    try:
        seals = fcntl.fcntl(memory, fcntl.F_GET_SEALS)
    except OSError:
        seals = 0
    if seals & _SEALS != _SEALS or os.fstat(memory).st_size != size:
        raise ValueError(f"invalid message: expected a memfd of {size} bytes that is sealed")
