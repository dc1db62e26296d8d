"""A unified diff of what a change did to the text of a file."""

import difflib
from collections.abc import Iterator

from .change_finding import Change, printable

__all__ = ["LARGEST_TEXT", "difference"]

# The time of a comparison grows with the square of the lines, and a child chooses them.
LARGEST_TEXT = 256 << 10
_MOST_LINES = 5000
_NO_FILE = "/dev/null"


def difference(change: Change, old: bytes | None, new: bytes | None) -> str:
    """The lines that show one change; a single line where there is no text to compare.

    ``old``, ``new``: the file's bytes, None where it is none; more than LARGEST_TEXT are not compared.
    """
    if change.kind == "attributes" or old is new is None:
        return f"{change}\n"
    before, after = _lines_of(old), _lines_of(new)
    if before is None or after is None:
        return f"{change}: not shown, since it is no text or too long\n"
    name = printable(change.path)
    return "".join(
        _ended(
            difflib.unified_diff(
                before,
                after,
                _NO_FILE if old is None else f"a{name}",
                _NO_FILE if new is None else f"b{name}",
            )
        )
    )


def _lines_of(content: bytes | None) -> list[str] | None:
    """The lines of a text, each with its end; None for what is none, or too long."""
    if content is None:
        return []
    if len(content) > LARGEST_TEXT or b"\0" in content:
        return None
    try:
        *lines, last = content.decode().split("\n")
    except UnicodeDecodeError:
        return None
    if len(lines) >= _MOST_LINES:
        return None
    return [f"{line}\n" for line in lines] + ([last] if last else [])


def _ended(lines: Iterator[str]) -> Iterator[str]:
    """Each line with an end, and the remark of diff where the file has none."""
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
