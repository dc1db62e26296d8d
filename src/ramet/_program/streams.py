"""Our ends of a child's pipes, as the streams that subprocess gives."""

import io
import locale
import sys
import warnings
from typing import IO, Any


class Readable(io.FileIO):
    """Our end of a pipe that the child writes to; ``was_read`` once a buffer above has read it.

    What such a buffer holds is not in the pipe any more, and a reader of the descriptor misses it.
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
    """What is written to it goes to the child. It takes over the descriptor that has this name.

    An exception may come after any instruction: so a descriptor leaves those that are owned, and
    becomes the stream's, in one step.
    """
    number = owned[name]
    stream: Any = open(name, "wb", bufsize, opener=owned.pop)  # noqa: SIM115 - the caller's
    getattr(stream, "raw", stream).name = number
    return stream


def reading(name: str, owned: dict[str, int], bufsize: int) -> Any:
    """What the child writes comes out of it; as writing(), but it knows whether it was read."""
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


def was_read(stream: Any) -> bool:
    """Whether a part of it may be in the buffers above its descriptor; True of a foreign stream."""
    buffered = getattr(stream, "buffer", stream)
    raw = getattr(buffered, "raw", buffered)
    return not isinstance(raw, Readable) or raw.was_read


def read_all(stream: IO[Any] | None) -> Any:
    """All that is left of it, which is then closed."""
    if stream is None:
        return None
    data = stream.read()
    stream.close()
    return data


def default_encoding() -> str:
    """The locale's encoding, with the warning that was asked for by -X warn_default_encoding."""
    if sys.flags.warn_default_encoding:
        frame, level = sys._getframe(), 1
        while frame.f_back and frame.f_globals.get("__name__", "").startswith("ramet."):
            frame, level = frame.f_back, level + 1
        warnings.warn("'encoding' argument not specified.", EncodingWarning, stacklevel=level)
    return "utf-8" if sys.flags.utf8_mode else locale.getencoding()
