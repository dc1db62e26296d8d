"""The lines of a trace: time, task, and what it did, indented below its maker."""

from typing import TYPE_CHECKING, TextIO

from rich.text import Text

from ..observe.tracing import Cost, End, Event, Exec, ExecRefused, Made, Refused
from ..observe.tracing.tree import Tree
from ..tour.colours import AMBER, GREEN, NAME, NOTE, console_for
from .trace_words import Words, cost_in_words

if TYPE_CHECKING:
    from rich.console import Console

_DEEPEST = 20  # levels that are still indented
_STYLES = {Made: "", Exec: GREEN, Refused: AMBER, ExecRefused: AMBER}


class Lines:
    """Writes a line for each event as it comes: in colours to a terminal, else plain."""

    def __init__(self, file: TextIO, words: Words, tree: Tree) -> None:
        self._file = file
        self._words = words
        self._tree = tree
        self._console: Console | None = console_for(file) if file.isatty() else None

    def show(self, event: Event) -> None:
        """The tree has been told of it before."""
        if isinstance(event, Cost):
            self.note(cost_in_words(event))
            return
        indent = "  " * min(self._tree.depth_of(event.tid), _DEEPEST)
        self._line(event, indent, self._words.of(event))
        for reason in self._words.reasons(event):
            self._line(None, indent + "  ", reason)

    def note(self, text: str) -> None:
        """A line that is about no task."""
        if self._console is None:
            self._file.write(f"{text}\n")
        else:
            self._console.print(Text(text, style=NOTE), soft_wrap=True)

    def close(self) -> None:
        """No more."""
        self._file.flush()

    def _line(self, event: Event | None, indent: str, text: str) -> None:
        time = "" if event is None else f"{event.time * 1000:.3f}"
        task = "" if event is None else str(event.tid)
        if self._console is None:
            self._file.write(f"{time:>10} {task:>8}  {indent}{text}\n")
            return
        style = _style_of(event)
        parts = (f"{time:>10} ", NOTE), (f"{task:>8}", NAME), f"  {indent}", (text, style)
        self._console.print(Text.assemble(*parts), soft_wrap=True)


def _style_of(event: Event | None) -> str:
    if isinstance(event, End) and not event.status.success:
        return AMBER
    return NOTE if event is None else _STYLES.get(type(event), "")
