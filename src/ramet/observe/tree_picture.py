"""A tree as a picture: a line for each task, and what is said of it in boxes behind it."""

from collections.abc import Iterable
from typing import Final

from ..law.svg import MARGIN, WIDTH, Theme, box, document, lines, text, width_of
from .tree_rows import Row

_ROW, _BOX, _INDENT, _PAD = 30, 22, 20, 8
_DEEPEST: Final = 20  # where a chain goes on further down, its lines are drawn below each other
_TOP: Final = 84


def picture(shown: Iterable[Row], title: str, theme: Theme) -> str:
    """A whole SVG document."""
    body: list[str] = []
    y, above = _TOP, [0] * (_DEEPEST + 1)  # where at each depth the line to the next task begins
    for row in shown:
        depth = min(len(row.rails), _DEEPEST)
        x = MARGIN + depth * _INDENT
        if depth:
            rail, middle = x - _INDENT + 6, y + _BOX // 2
            body.append(f'<path class="line" d="M{rail} {above[depth]} V{middle} H{x - 3}"/>')
        part, end = _task(row, x, y)
        body += part
        above[depth] = y + _BOX // 2
        above[depth + 1 :] = [y + _BOX] * (_DEEPEST - depth)
        y = end
    head = [text(MARGIN, 36, title, "title"), *_legend(62)]
    return document(title, [*head, *body], y + MARGIN, theme)


def _task(row: Row, x: int, y: int) -> tuple[list[str], int]:
    """The name, and its notes in a row or more; where the next task begins."""
    foot = y + 16
    name = row.title + row.threads
    body = [text(x, foot, name)]
    at = x + width_of(name) + 10
    for note in row.notes:
        for line in lines(note.words, WIDTH - MARGIN - 2 * _PAD - (x + _INDENT), "small"):
            width = width_of(line, "small") + 2 * _PAD
            if at + width > WIDTH - MARGIN and at > x + _INDENT:
                at, y = x + _INDENT, y + _BOX + 4
            body.append(box(note.kind, at, y, width, _BOX))
            body.append(text(at + _PAD, y + 15, line, "note"))
            at += width + 6
    return body, y + _ROW


def _legend(y: int) -> list[str]:
    body: list[str] = []
    x = float(MARGIN)
    for kind, words in (("shared", "shared"), ("apart", "its own"), ("unknown", "not known")):
        body.append(box(kind, x, y - 12, 26, 16, radius=3))
        body.append(text(x + 34, y, words, "small"))
        x += 34 + width_of(words, "small") + 24
    return body
