"""A unified diff of what changes did to the text of files."""

import os
from collections.abc import Iterator

from .change_finding import Change

__all__ = ["LARGEST_TEXT", "MOST_LETTERS", "Diff"]

# The time of a comparison grows with the product of the lines, and a child chooses them, and how many files
# there are: other names of one file cost it nothing.
LARGEST_TEXT = 256 << 10
MOST_LETTERS = 16 << 20
_MOST_LINES = 5000
_PAIRS_PER_LETTER = 64
_NO_FILE = "/dev/null"
_QUOTED = frozenset('"\\')


class Diff:
    """The text of a diff, to which changes are added until it is full."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._left = MOST_LETTERS

    @property
    def is_full(self) -> bool:
        """Whether it has as many letters as a diff may have, or has taken the time of so many."""
        return self._left <= 0

    def add(self, change: Change, old: bytes | None, new: bytes | None) -> None:
        """The lines that show a change; a single line where there is no text to compare.

        ``old``, ``new``: the file's bytes, None where it is none; more than LARGEST_TEXT are not compared.
        """
        if change.kind == "attributes" or old is new is None:
            self._put(f"{change}\n")
            return
        before, after = _lines_of(old), _lines_of(new)
        if before is None or after is None:
            self._put(f"{change}: not shown, since it is no text or too long\n")
            return
        self._left -= len(before) * len(after) // _PAIRS_PER_LETTER
        names = (
            _NO_FILE if old is None else _named(f"a{change.path}"),
            _NO_FILE if new is None else _named(f"b{change.path}"),
        )
        import difflib  # what shows no text does without

        self._put("".join(_ended(difflib.unified_diff(before, after, *names))))

    def text(self, left_out: int) -> str:
        """All of it; ``left_out``: how many changes were not added."""
        if left_out:
            self._put(f"and {left_out} more changes: not shown, since the diff is too long\n")
        return "".join(self._pieces)

    def _put(self, piece: str) -> None:
        self._pieces.append(piece)
        self._left -= len(piece)


def _lines_of(content: bytes | None) -> list[str] | None:
    """The lines of a text, each with its end; None for what is none, or too long."""
    if content is None:
        return []
    if len(content) > LARGEST_TEXT or content.count(b"\n") >= _MOST_LINES or b"\0" in content:
        return None
    try:
        *lines, last = content.decode().split("\n")
    except UnicodeDecodeError:
        return None
    return [f"{line}\n" for line in lines] + ([last] if last else [])


def _named(path: str) -> str:
    """As diff(1) writes it and patch(1) reads it: quoted, or with a tab at its end, where it has to be."""
    if path.isprintable() and not _QUOTED & set(path):
        return f"{path}\t" if " " in path else path
    return f'"{"".join(map(_quoted, path))}"'


def _quoted(letter: str) -> str:
    if letter.isprintable() and letter not in _QUOTED:
        return letter
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(letter))


def _ended(lines: Iterator[str]) -> Iterator[str]:
    """Each line with an end, and the remark of diff where the file has none."""
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
