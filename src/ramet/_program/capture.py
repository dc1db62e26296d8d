"""All that goes through a child's pipes at once: input fed to it, output read in large pieces."""

import contextlib
import fcntl
import io
import math
import mmap
import os
import select
import time
from typing import IO, Any, Protocol

# A pipe holds 64 KiB unless it is asked for more. One that has filled is asked for this much: more
# makes little difference, and what a user without privilege may hold in all is limited (pipe(7)).
_FILLED_BYTES = 64 * 1024
_WIDENED_BYTES = 256 * 1024

_SMALLEST_BYTES = 4 * 1024
_LARGE_BYTES = 1 << 20
_LONGEST_POLL_MS = (1 << 31) - 1


class Buffer:
    """Bytes that grow by reading into them, and are handed over without a copy.

    A BytesIO holds its contents in one bytes object. getbuffer() lets the kernel write into that
    very object, growing moves pages and not their contents, and getvalue() gives the object away.

    What is to become text is only looked at and then let go. Much of it goes to a mapping of huge
    pages, whose memory comes in a few page faults instead of thousands, which else take longer than
    all the reading and decoding.
    """

    def __init__(self, *, becomes_text: bool = False) -> None:
        self.size = 0
        self._becomes_text = becomes_text
        self._file = io.BytesIO()
        self._map: mmap.mmap | None = None
        self._view = memoryview(b"")
        self._capacity = 0

    def read_from(self, descriptor: int) -> int:
        """One read(2) of all that there is room for: how many bytes came, 0 at the end."""
        if self.size == self._capacity:
            self._grow()
        count = os.readv(descriptor, (self._view[self.size :],))
        self.size += count
        return count

    def value(self) -> bytes:
        """What was read so far. Reading may go on, and then leaves this as it is."""
        if self._map is not None:
            return bytes(self._contents())
        self._view.release()
        self._view, self._capacity = memoryview(b""), self.size
        self._file.truncate(self.size)
        return self._file.getvalue()

    def text(self, encoding: str, errors: str | None) -> str:
        """What was read so far, decoded."""
        return str(self._contents(), encoding, errors or "strict")

    def close(self) -> None:
        """Let the memory go."""
        self._view.release()
        self._file.close()
        if self._map is not None:
            self._map.close()

    def _contents(self) -> memoryview:
        whole = self._file.getbuffer() if self._map is None else self._view
        return whole[: self.size]

    def _grow(self) -> None:
        if self._capacity < _LARGE_BYTES:
            self._grow_file(max(4 * self._capacity, _SMALLEST_BYTES))
        elif self._becomes_text:
            self._grow_map(2 * self._capacity)  # which takes memory only where it is written to
        else:
            # Room is filled with zeros here, and so takes memory: of much, a sixteenth more.
            self._grow_file(self._capacity + max(self._capacity >> 4, _LARGE_BYTES))

    def _grow_file(self, capacity: int) -> None:
        self._view.release()
        self._file.seek(capacity - 1)
        self._file.write(b"\0")
        self._view, self._capacity = self._file.getbuffer(), capacity

    def _grow_map(self, capacity: int) -> None:
        if self._map is None:
            self._map = mmap.mmap(-1, capacity, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._view.release()
            self._map[: self.size] = self._file.getvalue()[: self.size]
            self._file.close()
        else:
            self._view.release()
            self._map.resize(capacity)
        with contextlib.suppress(OSError):  # EINVAL: a kernel without huge pages
            self._map.madvise(mmap.MADV_HUGEPAGE)
        self._view, self._capacity = memoryview(self._map), capacity


class _End(Protocol):
    """Our end of one of the child's pipes."""

    stream: IO[Any]
    descriptor: int
    events: int

    def move(self) -> bool:
        """Move what can be moved; False when that was the last."""


class _Output:
    """What the child writes."""

    events = select.POLLIN

    def __init__(self, stream: IO[Any], *, text: bool, may_widen: bool) -> None:
        self.stream = stream
        self.descriptor = stream.fileno()
        self.buffer = Buffer(becomes_text=text)
        self._may_widen = may_widen

    def move(self) -> bool:
        count = self.buffer.read_from(self.descriptor)
        if self._may_widen and self.buffer.size >= _FILLED_BYTES:
            _widen(self.descriptor)
            self._may_widen = False
        return count > 0


class _Input:
    """What the child reads."""

    events = select.POLLOUT

    def __init__(self, stream: IO[Any], data: memoryview, *, may_widen: bool) -> None:
        self.stream = stream
        self.descriptor = stream.fileno()
        self._left = data
        if may_widen and len(data) > _FILLED_BYTES:
            _widen(self.descriptor)

    def move(self) -> bool:
        try:
            count = os.write(self.descriptor, self._left)
        except BlockingIOError:
            return True
        except BrokenPipeError:  # the child wants no more, which is its right
            return False
        self._left = self._left[count:]
        return len(self._left) > 0


class Exchange:
    """Feeds a child, and collects what it writes, until all its pipes are closed.

    It can be left when a time is over, and gone on with. ``text``: whether output is decoded, as
    the streams say. ``may_widen``: whether the pipes may be made larger when there is much to move.

    Source: pipe(7), poll(2), readv(2).
    """

    def __init__(
        self,
        stdin: IO[Any] | None,
        stdout: IO[Any] | None,
        stderr: IO[Any] | None,
        data: memoryview | None,
        *,
        text: bool = False,
        may_widen: bool = True,
    ) -> None:
        self._input = _fed(stdin, data, may_widen) if stdin is not None else None
        self._text = text
        self._streams = (stdout, stderr)
        self._outputs = tuple(
            None
            if stream is None or stream.closed
            else _Output(stream, text=text, may_widen=may_widen)
            for stream in self._streams
        )
        ends: tuple[_End | None, ...] = (self._input, *self._outputs)
        self._open = {end.descriptor: end for end in ends if end is not None}
        self._poll = select.poll()
        for descriptor, end in self._open.items():
            self._poll.register(descriptor, end.events)

    def run(self, deadline: float | None = None, until: int | None = None) -> bool:
        """Go on until all is moved, or until deadline, in seconds of time.monotonic().

        until: a descriptor; when it can be read, what is there is still moved, and that is all.
        Returns whether all is moved.
        """
        if until is not None:
            self._poll.register(until, select.POLLIN)
        # A write that waits for room would keep what the child writes from being read.
        self._let_input_block(False)
        try:
            while self._open:
                if deadline is not None and time.monotonic() > deadline:
                    return False
                ready = self._ready(deadline)
                ends = [self._open[descriptor] for descriptor in ready if descriptor != until]
                if ready and not ends:
                    return False
                for end in ends:
                    if not end.move():
                        self._close(end)
        finally:
            if until is not None:
                self._poll.unregister(until)
            self._let_input_block(True)
        return True

    def so_far(self) -> tuple[bytes | None, bytes | None]:
        """The bytes that came from stdout and stderr; None where none came."""
        stdout, stderr = (
            end.buffer.value() if end is not None and end.buffer.size else None
            for end in self._outputs
        )
        return stdout, stderr

    def outcome(self) -> tuple[Any, Any]:
        """All that came from stdout and stderr, None for one that is no pipe; nothing is kept here.

        Raises UnicodeDecodeError, and then it can be asked again.
        """
        stdout, stderr = map(self._result, self._streams, self._outputs)
        self.close()
        return stdout, stderr

    def close(self) -> None:
        """Let go of what has come: nobody will go on with this."""
        for end in self._outputs:
            if end is not None:
                end.buffer.close()

    def _result(self, stream: Any, end: _Output | None) -> Any:
        if stream is None:
            return None
        if end is None:
            return "" if self._text else b""
        if not self._text:
            return end.buffer.value()
        text = end.buffer.text(stream.encoding, stream.errors)
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text

    def _ready(self, deadline: float | None) -> list[int]:
        if deadline is None:
            if len(self._open) == 1 and self._input is None:
                return list(self._open)  # nothing else to look after: just read
            ready = self._poll.poll()
        else:
            left_ms = max(0.0, deadline - time.monotonic()) * 1000
            ready = self._poll.poll(math.ceil(min(left_ms, _LONGEST_POLL_MS)))
        return [descriptor for descriptor, _ in ready]

    def _close(self, end: _End) -> None:
        del self._open[end.descriptor]
        self._poll.unregister(end.descriptor)
        if end is self._input:
            self._input = None
        _close_pipe(end.stream)

    def _let_input_block(self, blocking: bool) -> None:
        if self._input is not None:
            os.set_blocking(self._input.descriptor, blocking)


def raw_bytes(data: Any) -> memoryview:
    """The memory of any object with a buffer, byte by byte; a copy only where it lies scattered."""
    view = memoryview(data)
    try:
        return view.cast("B")
    except (TypeError, ValueError):
        return memoryview(view.tobytes())


def _fed(stream: IO[Any], data: memoryview | None, may_widen: bool) -> _Input | None:
    """The input's end when there is something to send; else closed, so that the child sees the end."""
    if data or not stream.closed:
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
    if data:
        return _Input(stream, data, may_widen=may_widen)
    _close_pipe(stream)
    return None


def _close_pipe(stream: IO[Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        stream.close()


def _widen(descriptor: int) -> None:
    # EPERM: the user has too much in pipes already. Then it stays as it is.
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _WIDENED_BYTES)
