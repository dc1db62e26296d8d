"""The data in a child's pipes: input written and output read at once, in large pieces."""

import contextlib
import fcntl
import io
import mmap
import os
import select
import sys
import termios
import time
from collections.abc import Callable, Iterable
from typing import IO, Any, Protocol, TypeAlias

from .._kernel.timeouts import milliseconds_until

# A pipe holds 64 KiB by default. One that filled up is enlarged to this: more makes little difference, and
# an unprivileged user has a limit for all pipes together (pipe(7)).
_FILLED_BYTES = 64 * 1024
_WIDENED_BYTES = 256 * 1024

_SMALLEST_BYTES = 4 * 1024
_LARGE_BYTES = 1 << 20
# Milliseconds: a signal that comes just before a poll does not end it, see native/python/core.h.
_FIRST_LOOK = 20


Counted: TypeAlias = Callable[[int], bool]


class Buffer:
    """A buffer that grows while it is read into, and becomes a bytes object without a copy.

    A BytesIO holds its contents in one bytes object. Through getbuffer() the kernel writes into that
    object, growing it moves pages instead of copying, and getvalue() returns it.

    Data that will be decoded is needed only until then. When it is large it goes to a mapping of huge
    pages: a few page faults instead of thousands, which would take longer than reading and decoding.
    """

    def __init__(self, *, becomes_text: bool = False) -> None:
        self.size = 0
        self._becomes_text = becomes_text
        self._file = io.BytesIO()
        self._map: mmap.mmap | None = None
        self._view = memoryview(b"")
        self._capacity = 0

    def read_from(self, descriptor: int) -> int:
        """One read(2) into all free space. Returns the number of bytes, 0 at the end."""
        if self.size == self._capacity:
            self._grow()
        count = os.readv(descriptor, (self._view[self.size :],))
        self.size += count
        return count

    def value(self) -> bytes:
        """The bytes read so far; they do not change when reading goes on."""
        if self._map is not None:
            return bytes(self._contents())
        self._view.release()
        self._view, self._capacity = memoryview(b""), self.size
        self._file.truncate(self.size)
        return self._file.getvalue()

    def text(self, encoding: str, errors: str | None) -> str:
        """The bytes read so far, decoded."""
        return str(self._contents(), encoding, errors or "strict")

    def close(self) -> None:
        """Free the memory."""
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
            self._grow_map(2 * self._capacity)  # pages that are not written use no memory
        else:
            # New space is filled with zeros and uses memory: so grow a large buffer by a sixteenth.
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
    """The parent's end of one of the child's pipes."""

    stream: IO[Any]
    descriptor: int
    events: int

    def move(self) -> bool:
        """Read or write what is possible now; False when this end is done."""


class _Output:
    """The parent's end of a pipe that the child writes to."""

    events = select.POLLIN

    def __init__(
        self, stream: IO[Any], *, text: bool, may_widen: bool, counted: "Counted | None"
    ) -> None:
        self.stream = stream
        self._counted = counted
        self.descriptor = stream.fileno()
        self.buffer = Buffer(becomes_text=text)
        self._may_widen = may_widen

    def move(self) -> bool:
        try:
            count = self.buffer.read_from(self.descriptor)
        except BlockingIOError:  # the child has taken back what it wrote, through /proc/PID/fd
            return True
        if self._may_widen and self.buffer.size >= _FILLED_BYTES:
            _widen(self.descriptor)
            self._may_widen = False
        if self._counted is not None and not self._counted(count):
            return False
        return count > 0

    def take_what_is_there(self) -> None:
        """No more than is in the pipe now."""
        word = fcntl.ioctl(self.descriptor, termios.FIONREAD, bytes(4))
        end, before = self.buffer.size + int.from_bytes(word, sys.byteorder), -1
        while before < self.buffer.size < end:
            before = self.buffer.size
            if not self.move():
                break


class _Input:
    """The parent's end of a pipe that the child reads from."""

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
        except BrokenPipeError:  # the child may close its end before it has read all
            return False
        self._left = self._left[count:]
        return len(self._left) > 0


class Exchange:
    """Writes a child's input and reads its output until all its pipes are closed.

    It can stop at a deadline and be continued. ``text``: whether output is decoded, with the streams'
    encoding. ``may_widen``: whether the pipes may be enlarged for much data. ``counted``: is told how many
    bytes have been read, and says whether to read on.

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
        counted: "Counted | None" = None,
    ) -> None:
        self._input = _fed(stdin, data, may_widen) if stdin is not None else None
        self._text = text
        self._streams = (stdout, stderr)
        self._outputs = tuple(
            None
            if stream is None or stream.closed
            else _Output(stream, text=text, may_widen=may_widen, counted=counted)
            for stream in self._streams
        )
        ends: tuple[_End | None, ...] = (self._input, *self._outputs)
        self._open = {end.descriptor: end for end in ends if end is not None}
        self._poll = select.poll()
        for descriptor, end in self._open.items():
            self._poll.register(descriptor, end.events)

    def run(self, deadline: float | None = None, until: int | None = None) -> bool:
        """Read and write until all is done, or until deadline, in seconds of time.monotonic().

        until: a descriptor; when it can be read this stops, and take_what_is_there() takes what is left.
        Returns whether all is done.
        """
        is_first = True
        if until is not None:
            self._poll.register(until, select.POLLIN)
        # While a write blocks, the child's output would not be read, and a read may keep no deadline.
        waits_for_one = deadline is None and until is None and len(self._open) == 1
        if not waits_for_one:
            self._let_block(False)
        try:
            while self._open:
                if deadline is not None and time.monotonic() > deadline:
                    return False
                ready = self._ready(deadline, until, is_first=is_first)
                is_first = False
                if until in ready:
                    return False
                self._move(ready)
        finally:
            if until is not None:
                self._poll.unregister(until)
            if not waits_for_one:
                self._let_block(True)
        return True

    def _move(self, ready: Iterable[int]) -> None:
        for end in map(self._open.__getitem__, ready):
            if not end.move():
                self._close(end)

    def take_what_is_there(self) -> None:
        """Read what is in the pipes now."""
        for end in self._open.values():
            if isinstance(end, _Output):
                end.take_what_is_there()

    def take_the_rest(self) -> None:
        """Read what is in the pipes and close them, whoever may still have their other ends."""
        self.take_what_is_there()
        for end in tuple(self._open.values()):
            self._close(end)

    def so_far(self) -> tuple[bytes | None, bytes | None]:
        """The bytes read from stdout and stderr; None when there were none."""
        stdout, stderr = (
            end.buffer.value() if end is not None and end.buffer.size else None
            for end in self._outputs
        )
        return stdout, stderr

    def outcome(self) -> tuple[Any, Any]:
        """The output of stdout and stderr, None for one that is not a pipe; frees the buffers.

        Raises UnicodeDecodeError, and keeps the buffers then.
        """
        stdout, stderr = map(self._result, self._streams, self._outputs)
        self.close()
        return stdout, stderr

    def close(self) -> None:
        """Free the buffers: this cannot be continued."""
        for end in self._outputs:
            if end is not None:
                end.buffer.close()

    def _result(self, stream: Any, end: _Output | None) -> Any:
        if stream is None:
            return None
        if end is None:
            return "" if self._text else b""
        # Text may have been chosen when it was open already.
        if not self._text or not isinstance(stream, io.TextIOBase):
            return end.buffer.value()
        text = end.buffer.text(stream.encoding, stream.errors)
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text

    def _ready(self, deadline: float | None, until: int | None, *, is_first: bool) -> list[int]:
        """What can be read or written; nothing when the deadline has come, or after the first look."""
        most = milliseconds_until(deadline)
        if is_first:
            most = _FIRST_LOOK if most is None else min(most, _FIRST_LOOK)
        elif deadline is None and until is None and len(self._open) == 1 and self._input is None:
            return self._only_one()
        ready = self._poll.poll(most)
        return [descriptor for descriptor, _ in ready]

    def _only_one(self) -> list[int]:
        """A blocking read needs no poll."""
        (descriptor,) = self._open
        if not os.get_blocking(descriptor):
            os.set_blocking(descriptor, True)
        return [descriptor]

    def _close(self, end: _End) -> None:
        del self._open[end.descriptor]
        self._poll.unregister(end.descriptor)
        if end is self._input:
            self._input = None
        _close_pipe(end.stream)

    def _let_block(self, blocking: bool) -> None:
        for descriptor in self._open:
            os.set_blocking(descriptor, blocking)


def raw_bytes(data: Any) -> memoryview:
    """The memory of an object with a buffer, as single bytes; a copy only if it is not contiguous."""
    view = memoryview(data)
    try:
        return view.cast("B")
    except (TypeError, ValueError):
        return memoryview(view.tobytes())


def _fed(stream: IO[Any], data: memoryview | None, may_widen: bool) -> _Input | None:
    """The input's end when there is data to send; else it is closed, and the child reads end of file."""
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
    # EPERM: the user's limit for pipes is reached. Then the size stays.
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _WIDENED_BYTES)
