"""Byte streams over a child's pipes, which the loop's readiness drives."""

import contextlib
import os
from typing import IO, TYPE_CHECKING

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream
from anyio.lowlevel import checkpoint

from .._preflight.hints import no_attribute_of_aio

_MOST_AT_ONCE = 1 << 16  # what a pipe holds


class _End:
    """Our end of a pipe: it is not blocking, and one task at a time uses it."""

    def __init__(self, file: IO[bytes], doing: str) -> None:
        self._file = file
        self._using = anyio.ResourceGuard(doing)
        self._descriptor = file.fileno()
        os.set_blocking(self._descriptor, False)

    if not TYPE_CHECKING:  # which would take any name for an attribute then

        def __getattr__(self, name: str) -> object:
            raise no_attribute_of_aio(self, name)

    def fileno(self) -> int:
        """The descriptor; ValueError once it is closed."""
        return self._file.fileno()

    def close(self) -> None:
        """Close it; whoever waits for it gets ClosedResourceError."""
        if not self._file.closed:
            anyio.notify_closing(self._descriptor)
            self._file.close()

    async def aclose(self) -> None:
        """Close it; whoever waits for it gets ClosedResourceError."""
        self.close()
        await checkpoint()

    def _open_descriptor(self) -> int:
        if self._file.closed:
            raise anyio.ClosedResourceError
        return self._descriptor


class ReceivingEnd(_End, ByteReceiveStream):
    """What the child writes: an anyio ByteReceiveStream. Source: pipe(7)."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, "reading from")

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """At most max_bytes bytes, as soon as there are some.

        Raises EndOfStream when all writers have closed it, ClosedResourceError when this end is
        closed, BusyResourceError when another task is reading, ValueError for max_bytes below 1.
        """
        if max_bytes < 1:
            raise ValueError(f"max_bytes is at least 1, not {max_bytes}")
        await checkpoint()
        with self._using:
            while True:
                descriptor = self._open_descriptor()
                try:
                    data = os.read(descriptor, max_bytes)
                except BlockingIOError:
                    await anyio.wait_readable(descriptor)
                    continue
                if not data:
                    raise anyio.EndOfStream
                return data

    async def receive_all(self, into: bytearray) -> None:
        """Append all that comes until the end of the stream; what came stays on a cancellation."""
        with self._using:
            while True:
                descriptor = self._open_descriptor()
                try:
                    data = os.read(descriptor, _MOST_AT_ONCE)
                except BlockingIOError:
                    await anyio.wait_readable(descriptor)
                    continue
                if not data:
                    return
                into += data
                if len(data) == _MOST_AT_ONCE:
                    await checkpoint()  # a writer that is never slower must not have the loop alone

    def receive_rest(self, into: bytearray) -> None:
        """Append what is there already."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._open_descriptor(), _MOST_AT_ONCE):
                into += data


class SendingEnd(_End, ByteSendStream):
    """What the child reads: an anyio ByteSendStream. Source: pipe(7)."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, "writing to")

    async def send(self, item: bytes | bytearray | memoryview) -> None:
        """Write all of it.

        Raises BrokenResourceError when no reader is left, ClosedResourceError when this end is
        closed, BusyResourceError when another task is writing.
        """
        await checkpoint()
        with self._using, memoryview(item) as view, view.cast("B") as data:
            sent = 0
            while sent < len(data):
                descriptor = self._open_descriptor()
                try:
                    sent += os.write(descriptor, data[sent : sent + _MOST_AT_ONCE])
                except BlockingIOError:
                    await anyio.wait_writable(descriptor)
                except BrokenPipeError as error:
                    raise anyio.BrokenResourceError from error
