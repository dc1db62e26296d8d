"""What stands in the caller for an exception of a child, of which texts were sent."""

from collections.abc import Sequence

from ..errors import RemoteError
from .traceback_parts import Frame, text_of


class RemoteTraceback(Exception):  # noqa: N818 - not an error itself: it shows one
    """The child's traceback: the cause of the exception that ``result()`` raises.

    text: as Python prints it; or its last lines alone, with the frames, of which the others are made when
    they are first asked for.
    """

    def __init__(self, text: str, frames: Sequence[Frame] = ()) -> None:
        super().__init__(text)
        self._text, self._frames = text, frames

    @property
    def text(self) -> str:
        """As Python prints it."""
        if self._frames:
            self._text = text_of(self._frames, self._text, with_source=True)
            self._frames, self.args = (), (self._text,)
        return self._text

    def __str__(self) -> str:
        return f"\n{self.text}"

    def __reduce__(self) -> tuple[type["RemoteTraceback"], tuple[str]]:
        return RemoteTraceback, (self.text,)


def remote_error(texts: Sequence[str], why: str = "") -> RemoteError:
    """For its type, message and traceback. why: why the exception itself, which was sent, is not there."""
    name, message, traceback = map(printable, texts)
    error = RemoteError(name, message, why)
    error.__cause__ = RemoteTraceback(traceback)
    return error


def printable(text: str) -> str:
    """The child's text with control characters escaped, which a terminal would obey."""
    if text.isprintable():
        return text
    obeyed = (letter for letter in set(text) if not (letter.isprintable() or letter in "\n\t"))
    return text.translate({ord(letter): ascii(letter)[1:-1] for letter in obeyed})
