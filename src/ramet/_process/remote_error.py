"""What stands in the caller for an exception of a child, of which texts were sent."""

from collections.abc import Sequence

from ..errors import RemoteError


class RemoteTraceback(Exception):  # noqa: N818 - not an error itself: it shows one
    """The child's traceback: the cause of the exception that ``result()`` raises."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


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
