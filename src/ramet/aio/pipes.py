"""Byte streams over a child's pipes, non-blocking and driven by the event loop."""

import contextlib
import os
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream
from anyio.lowlevel import checkpoint

from .._preflight.hints import no_attribute_of_aio

_MOST_AT_ONCE = 1 << 16  # the default capacity of a pipe


class _End:
    """The parent's end of a pipe: non-blocking, and used by one task at a time."""

    def __init__(self, file: IO[bytes], doing: str) -> None:
        self._file = file
        self._using = anyio.ResourceGuard(doing)
        self._descriptor = file.fileno()
        os.set_blocking(self._descriptor, False)

    if not TYPE_CHECKING:  # with it, a type checker would accept any attribute

        def __getattr__(self, name: str) -> object:
            raise no_attribute_of_aio(self, name)

    def fileno(self) -> int:
        """The descriptor; ValueError once it is closed."""
        return self._file.fileno()

    def close(self) -> None:
        """Close it; a task that waits for it gets ClosedResourceError."""
        if not self._file.closed:
            anyio.notify_closing(self._descriptor)
            self._file.close()

    async def aclose(self) -> None:
        """Close it; a task that waits for it gets ClosedResourceError."""
        self.close()
        await checkpoint()

    def _open_descriptor(self) -> int:
        if self._file.closed:
            raise anyio.ClosedResourceError
        return self._descriptor


class ReceivingEnd(_End, ByteReceiveStream):
    """A stream from the child: an anyio ByteReceiveStream. Source: pipe(7)."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, "reading from")

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Wait for data, and return up to max_bytes of it.

        Raises EndOfStream when all writers have closed it, ClosedResourceError when this end is
        closed, BusyResourceError when another task is reading, ValueError for max_bytes below 1.
        """
        if max_bytes < 1:
            raise ValueError(f"invalid max_bytes: expected at least 1, got {max_bytes}")
        await checkpoint()
        with self._using:
            data = await self._read(max_bytes)
        if not data:
            raise anyio.EndOfStream
        return data

    async def receive_all(
        self, into: bytearray, counted: Callable[[int], bool] | None = None
    ) -> None:
        """Append all data until the end of the stream; a cancellation leaves the data so far.

        counted: is told how many bytes have been read, and says whether to read on.
        """
        with self._using:
            while data := await self._read(_MOST_AT_ONCE):
                into += data
                if counted is not None and not counted(len(data)):
                    return
                if len(data) == _MOST_AT_ONCE:
                    await checkpoint()  # a fast writer must not keep other tasks from running

    async def _read(self, most: int) -> bytes:
        while True:
            descriptor = self._open_descriptor()
            try:
                return os.read(descriptor, most)
            except BlockingIOError:
                await anyio.wait_readable(descriptor)

    def receive_rest(self, into: bytearray) -> None:
        """Append the data that is in the pipe now."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._open_descriptor(), _MOST_AT_ONCE):
                into += data


class SendingEnd(_End, ByteSendStream):
    """A stream to the child: an anyio ByteSendStream. Source: pipe(7)."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, "writing to")

    async def send(self, item: bytes | bytearray | memoryview) -> None:
        """Write all of it.

        Raises BrokenResourceError when all readers have closed it, ClosedResourceError when this end is
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
