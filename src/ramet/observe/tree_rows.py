"""The tasks of a tree as they are shown, whatever shows them."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from .tree_notes import Note, notes
from .tree_report import Task, Tree

BRANCHES: Final = ("├─ ", "└─ ", "│  ", "   ")


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
    def title(self) -> str:
        """Its name and pid."""
        return f"{shown_name(self.task)} {self.task.pid}"

    @property
    def threads(self) -> str:
        """Words for those that are not shown."""
        return "" if not self.more else ", 1 thread" if self.more == 1 else f", {self.more} threads"

    def prefix(self, branches: tuple[str, str, str, str] = BRANCHES) -> str:
        """The lines that lead to it. branches: to one of several, to the last one, past one, past none."""
        if not self.rails:
            return ""
        more, last, rail, gap = branches
        passed = "".join(rail if goes_on else gap for goes_on in self.rails[:-1])
        return passed + (more if self.rails[-1] else last)

    def __str__(self) -> str:
        said = "; ".join(note.words for note in self.notes)
        return f"{self.prefix()}{self.title}{self.threads}{'  ' if said else ''}{said}"


def rows(tree: Tree, *, threads: bool | None = None, everything: bool = False) -> list[Row]:
    """What is shown. threads: each, none, or with None those that share less than others.

    everything: say also what is so as a rule.
    """
    shown: list[tuple[Task, list[Note]]] = []
    hidden: dict[int, int] = {}
    for task in tree.tasks:
        said = notes(task, tree, everything)
        if task.is_thread and threads is None and not shares_less(said):
            hidden[task.process] = hidden.get(task.process, 0) + 1
        else:
            shown.append((task, said))
    rails = _rails([task.depth for task, _ in shown])
    return [
        Row(task, hidden.get(task.pid, 0), said, rail)
        for (task, said), rail in zip(shown, rails, strict=True)
    ]


def shares_less(said: Iterable[Note]) -> bool:
    """Whether a thread of which this is said differs from most."""
    return any(note.kind != "unknown" for note in said)


def _rails(depths: list[int]) -> list[list[bool]]:
    """For each task, at which depths another comes below it."""
    found: list[list[bool]] = []
    below: set[int] = set()
    for depth in reversed(depths):
        found.append([level in below for level in range(1, depth + 1)])
        below = {level for level in below if level < depth} | {depth}
    return found[::-1]
