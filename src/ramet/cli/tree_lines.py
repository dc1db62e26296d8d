"""A tree as lines: for a terminal with colours, for a file without."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import click
from rich.text import Text

from ..observe import Task, Tree
from ..observe import tree as tree_of
from ..tour.colours import AMBER, GREEN, NAME, NOTE
from .tree_notes import Note, notes

STYLES: Final = {"shared": GREEN, "apart": AMBER, "unknown": NOTE}
_BRANCHES: Final = ("├─ ", "└─ ", "│  ", "   ")
_ASCII: Final = ("|- ", "`- ", "|  ", "   ")


def shown_name(task: Task) -> str:
    """In braces for a thread, as pstree has it, and without what could move a cursor."""
    name = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in task.name)
    return f"{{{name}}}" if task.is_thread else name


class Row(NamedTuple):
    """A task as it is shown. ``more``: how many of its threads are not shown.

    ``rails``: for each depth above it, whether the line there goes on below; the last is its own.
    """

    task: Task
    more: int
    notes: list[Note]
    rails: list[bool]

    @property
    def threads(self) -> str:
        """Words for those that are not shown."""
        return "" if not self.more else ", 1 thread" if self.more == 1 else f", {self.more} threads"


class View(NamedTuple):
    """What a person wants to see. ``threads``: each, none, or with None those that share less."""

    pid: int | None
    threads: bool | None
    everything: bool

    @property
    def title(self) -> str:
        """What is shown."""
        return "all processes" if self.pid is None else f"process {self.pid} and those below it"

    def look(self) -> Tree:
        """See what there is now."""
        try:
            return tree_of(self.pid, threads=self.threads is not False, kernel=self.everything)
        except (ProcessLookupError, RuntimeError) as error:
            raise click.ClickException(getattr(error, "strerror", None) or str(error)) from None

    def rows(self, tree: Tree) -> list[Row]:
        """What is shown of it."""
        shown: list[tuple[Task, list[Note]]] = []
        hidden: dict[int, int] = {}
        for task in tree.tasks:
            said = notes(task, tree, self.everything)
            if task.is_thread and self.threads is None and not _differs(said):
                hidden[task.process] = hidden.get(task.process, 0) + 1
            else:
                shown.append((task, said))
        rails = _rails([task.depth for task, _ in shown])
        return [
            Row(task, hidden.get(task.pid, 0), said, rail)
            for (task, said), rail in zip(shown, rails, strict=True)
        ]


def _differs(said: Iterable[Note]) -> bool:
    return any(note.kind != "unknown" for note in said)


def _rails(depths: list[int]) -> list[list[bool]]:
    """For each task, at which depths another comes below it."""
    found: list[list[bool]] = []
    below: set[int] = set()
    for depth in reversed(depths):
        found.append([level in below for level in range(1, depth + 1)])
        below = {level for level in below if level < depth} | {depth}
    return found[::-1]


def lines(shown: Iterable[Row], marked: Callable[[Task], str] = lambda _: "") -> Iterator[Text]:
    """One for each row. marked: the style of a task's name, where it is another."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    branches = _BRANCHES if encoding.lower().replace("-", "").startswith("utf") else _ASCII
    for row in shown:
        text = Text.assemble(
            (_prefix(row.rails, branches), NOTE),
            (f"{shown_name(row.task)} {row.task.pid}", marked(row.task) or NAME),
            (row.threads, NOTE),
            "  " if row.notes else "",
        )
        for number, note in enumerate(row.notes):
            text.append("; " if number else "").append(note.words, STYLES[note.kind])
        yield text


def _prefix(rails: list[bool], branches: tuple[str, str, str, str]) -> str:
    if not rails:
        return ""
    more, last, rail, gap = branches
    return "".join(rail if goes_on else gap for goes_on in rails[:-1]) + (
        more if rails[-1] else last
    )
