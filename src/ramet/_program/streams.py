"""The parent's ends of a child's pipes, as the streams of subprocess."""

import io
import locale
import os
import sys
import warnings
from collections import deque
from collections.abc import Iterator
from typing import IO, Any


class Readable(io.FileIO):
    """The parent's end of a pipe that the child writes to; ``was_read`` once a buffer has read from it.

    What the buffer holds is not in the pipe any more: a reader of the descriptor would miss it.
    """

    was_read = False

    def readinto(self, buffer: Any, /) -> int:
        """As io.FileIO does."""
        self.was_read = True
        return super().readinto(buffer)

    def read(self, size: int | None = -1, /) -> Any:
        """As io.FileIO does."""
        self.was_read = True
        return super().read(-1 if size is None else size)


def writing(name: str, owned: dict[str, int], bufsize: int) -> Any:
    """A stream to the child. It takes over the descriptor of this name from ``owned``.

    A signal handler may raise after any instruction: so the descriptor leaves ``owned`` and becomes the
    stream's in one step.
    """
    number = owned[name]
    stream: Any = open(name, "wb", bufsize, opener=owned.pop)  # noqa: SIM115 - the caller closes it
    getattr(stream, "raw", stream).name = number
    return stream


def reading(name: str, owned: dict[str, int], bufsize: int) -> Any:
    """A stream from the child, which knows whether it was read; as writing()."""
    number = owned[name]
    raw = Readable(name, "r", opener=owned.pop)
    raw.name = number
    if bufsize == 0:
        return raw
    if bufsize == 1:
        warnings.warn(
            "line buffering (buffering=1) isn't supported in binary mode, "
            "the default buffer size will be used",
            RuntimeWarning,
            stacklevel=5,
        )
    return io.BufferedReader(raw, bufsize if bufsize > 1 else io.DEFAULT_BUFFER_SIZE)


def close_each(descriptors: Iterator[int]) -> None:
    """Close them all, each once.

    A signal handler may raise between two steps of the interpreter: so it takes one step to take a
    descriptor and to close it, and who calls this again closes the rest.
    """
    deque(map(os.close, descriptors), 0)


def was_read(stream: Any) -> bool:
    """Whether buffers above the descriptor may hold data; True for a stream of another class."""
    buffered = getattr(stream, "buffer", stream)
    raw = getattr(buffered, "raw", buffered)
    return not isinstance(raw, Readable) or raw.was_read


def read_all(stream: IO[Any] | None) -> Any:
    """Read it to the end and close it."""
    if stream is None:
        return None
    data = stream.read()
    stream.close()
    return data


def default_encoding() -> str:
    """The locale's encoding; warns under -X warn_default_encoding."""
    if sys.flags.warn_default_encoding:
        frame, level = sys._getframe(), 1
        while frame.f_back and frame.f_globals.get("__name__", "").startswith("ramet."):
            frame, level = frame.f_back, level + 1
        warnings.warn("'encoding' argument not specified.", EncodingWarning, stacklevel=level)
    return "utf-8" if sys.flags.utf8_mode else locale.getencoding()
