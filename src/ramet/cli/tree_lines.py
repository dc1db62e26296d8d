"""A tree as lines: for a terminal with colours, for a file without."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import click
from rich.text import Text

from ..observe import Task, Tree
from ..observe import tree as tree_of
from ..observe.tree_rows import BRANCHES, Row, rows
from ..tour.colours import AMBER, GREEN, NAME, NOTE

STYLES: Final = {"shared": GREEN, "apart": AMBER, "unknown": NOTE}
_ASCII: Final = ("|- ", "`- ", "|  ", "   ")


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
        return rows(tree, threads=self.threads, everything=self.everything)


def lines(shown: Iterable[Row], marked: Callable[[Task], str] = lambda _: "") -> Iterator[Text]:
    """One for each row. marked: the style of a task's name, where it is another."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    branches = BRANCHES if encoding.lower().replace("-", "").startswith("utf") else _ASCII
    for row in shown:
        text = Text.assemble(
            (row.prefix(branches), NOTE),
            (row.title, marked(row.task) or NAME),
            (row.threads, NOTE),
            "  " if row.notes else "",
        )
        for number, note in enumerate(row.notes):
            text.append("; " if number else "").append(note.words, STYLES[note.kind])
        yield text
