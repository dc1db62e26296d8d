import io
import os
from collections.abc import Callable
from typing import Any

import pytest

from ramet._program.streams import Readable, read_all, reading, was_read, writing


def pipe_with(data: bytes) -> int:
    """The reading end of a pipe that has these bytes and no more."""
    ours, theirs = os.pipe()
    os.write(theirs, data)
    os.close(theirs)
    return ours


def test_a_readable_knows_whether_it_was_read() -> None:
    """The raw file below a stream says whether a buffer above may hold some of its data."""
    with Readable(pipe_with(b"one\ntwo\n"), "r") as raw:
        assert not raw.was_read
        raw.read(4)
        assert raw.was_read


@pytest.mark.parametrize("bufsize", [-1, 0, 4, 100])
@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(
    "read",
    [
        lambda stream: stream.readline(),
        lambda stream: stream.read(1),
        lambda stream: next(stream),
    ],
    ids=["readline", "read", "next"],
)
def test_reading_a_stream_leaves_a_mark(
    read: Callable[[Any], Any], text: bool, bufsize: int, nothing_left: object
) -> None:
    """However a stream is read, it is known that its buffers may hold something; and not before."""
    stream = reading("end", {"end": pipe_with(b"one\ntwo\n")}, bufsize)
    if text:
        stream = io.TextIOWrapper(stream, encoding="ascii")
    assert not was_read(stream)
    assert read(stream)
    assert was_read(stream)
    stream.close()


def test_a_foreign_stream_may_have_been_read(nothing_left: object) -> None:
    """Of a stream that was not made here nothing is known."""
    with open(pipe_with(b""), "rb") as stream:
        assert was_read(stream)
    assert was_read(io.BytesIO())


def test_line_buffering_is_for_text(nothing_left: object) -> None:
    """In binary mode it is answered with a warning, as by open()."""
    with pytest.warns(RuntimeWarning, match="line buffering"):
        stream = reading("end", {"end": pipe_with(b"all\n")}, 1)
    assert read_all(stream) == b"all\n"
    assert stream.closed
    ours, theirs = os.pipe()
    os.close(ours)
    with pytest.warns(RuntimeWarning, match="line buffering"):
        writing("end", {"end": theirs}, 1).close()
