"""A picture of two tasks: what is one for both in a box between them, what is not in two."""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from .svg import MARGIN, WIDTH, arrow, box, lines, text, width_of

_TASK_WIDTH, _STUB = 138, 36
_LEFT = MARGIN + _TASK_WIDTH + _STUB
_RIGHT = WIDTH - _LEFT
_HALF = (_RIGHT - _LEFT - 80) // 2
_BOX_HEIGHT, _GAP, _GROUP_GAP = 34, 10, 34


class Row(NamedTuple):
    """One thing. ``kind``: one for both, one until it is written to, one for each, or not known.

    ``words`` are those of the box, or of the left one; ``others`` of the right one. ``copied``: at the call.
    """

    kind: Literal["shared", "until", "apart", "unknown"]
    words: str
    others: str = ""
    copied: bool = False


class Group(NamedTuple):
    """Rows of one sort."""

    title: str
    rows: list[Row]


class Task(NamedTuple):
    """One of the two."""

    name: str
    notes: list[str]


_LEGEND = {
    "shared": "one, shared by both",
    "until": "pages shared until one of the two writes",
    "apart": "two, one for each",
    "unknown": "not known",
}


def draw_tasks(left: Task, right: Task, groups: list[Group], top: int) -> tuple[list[str], int]:
    """The parts of the picture below ``top``, and where it ends."""
    body: list[str] = []
    y = top
    for title, rows in groups:
        body.append(text(_LEFT, y + 14, title, "small"))
        y += 24
        for row in rows:
            body += _row(row, y)
            y += _BOX_HEIGHT + _GAP
        y += _GROUP_GAP - _GAP
    bottom = y - _GROUP_GAP + _GAP
    tasks = [*_task(MARGIN, left, top, bottom), *_task(_RIGHT + _STUB, right, top, bottom)]
    legend, end = _legend([row for group in groups for row in group.rows], bottom + 30)
    return [*tasks, *body, *legend], end + MARGIN


def _task(x: int, task: Task, top: int, bottom: int) -> Iterator[str]:
    middle, y = x + _TASK_WIDTH // 2, (top + bottom) // 2
    yield box("task", x, top, _TASK_WIDTH, bottom - top, radius=10)
    yield text(middle, y, task.name, "title", "middle")
    notes = [line for note in task.notes for line in lines(note, _TASK_WIDTH, "small")]
    for number, line in enumerate(notes, 1):
        yield text(middle, y + 4 + 18 * number, line, "small", "middle")


def _row(row: Row, y: int) -> Iterator[str]:
    middle, foot = y + _BOX_HEIGHT // 2, y + _BOX_HEIGHT // 2 + 5
    yield f'<path class="line" d="M{_LEFT - _STUB} {middle} H{_LEFT}"/>'
    yield f'<path class="line" d="M{_RIGHT} {middle} H{_RIGHT + _STUB}"/>'
    if row.kind != "apart":
        yield box(row.kind, _LEFT, y, _RIGHT - _LEFT, _BOX_HEIGHT)
        yield text((_LEFT + _RIGHT) // 2, foot, row.words, "", "middle")
        return
    yield box("apart", _LEFT, y, _HALF, _BOX_HEIGHT)
    yield box("apart", _RIGHT - _HALF, y, _HALF, _BOX_HEIGHT)
    yield text(_LEFT + _HALF // 2, foot, row.words, "", "middle")
    yield text(_RIGHT - _HALF // 2, foot, row.others, "", "middle")
    if row.copied:
        yield arrow(_LEFT + _HALF + 4, middle, _RIGHT - _HALF - 4)


def _legend(rows: Iterable[Row], y: int) -> tuple[list[str], int]:
    """Of the kinds that are there, and where it ends."""
    kinds = {row.kind for row in rows}
    entries = [(kind, words) for kind, words in _LEGEND.items() if kind in kinds]
    if any(row.copied for row in rows):
        entries.append(("copied", "copied at the call"))
    body: list[str] = []
    x = float(MARGIN)
    for kind, words in entries:
        width = 34 + width_of(words, "small")
        if x + width > WIDTH - MARGIN:
            x, y = MARGIN, y + 26
        if kind == "copied":
            body.append(arrow(x, y - 4, x + 28))
        else:
            body.append(box(kind, x, y - 12, 26, 16, radius=3))
        body.append(text(x + 34, y, words, "small"))
        x += width + 20
    return body, y
