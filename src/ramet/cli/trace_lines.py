"""The lines of a trace: time, task, and what it did, indented below its maker."""

from textwrap import fill
from typing import TYPE_CHECKING, TextIO

from rich.text import Text

from ..observe.tracing import Cost, End, Event, Exec, ExecRefused, Made, Refused
from ..observe.tracing.tree import Tree
from ..tour.colours import AMBER, GREEN, NAME, NOTE, console_for
from .trace_words import Words, cost_in_words

if TYPE_CHECKING:
    from rich.console import Console

_DEEPEST = 20  # levels that are still indented
_BEFORE_WORDS = " " * 21  # time and task
_LEAST_COLUMNS = 20
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
            self._reason(f"{_BEFORE_WORDS}{indent}  ", reason)

    def note(self, text: str) -> None:
        """A line that is about no task."""
        if self._console is None:
            self._file.write(f"{text}\n")
        else:
            self._console.print(Text(text, style=NOTE), soft_wrap=True)

    def close(self) -> None:
        """No more."""
        self._file.flush()

    def _line(self, event: Event, indent: str, text: str) -> None:
        time, task = f"{event.time * 1000:10.3f} ", f"{event.tid:8}"
        if self._console is None:
            self._file.write(f"{time}{task}  {indent}{text}\n")
            return
        parts = (time, NOTE), (task, NAME), f"  {indent}", (text, _style_of(event))
        self._console.print(Text.assemble(*parts), soft_wrap=True)

    def _reason(self, indent: str, text: str) -> None:
        """In a terminal wrapped at its width; in a file each is one line, for grep."""
        if self._console is None:
            self._file.write(f"{indent}{text}\n")
            return
        width = max(self._console.width, len(indent) + _LEAST_COLUMNS)
        text = fill(text, width, initial_indent=indent, subsequent_indent=f"{indent}  ")
        self._console.print(Text(text, style=NOTE), soft_wrap=True)


def _style_of(event: Event) -> str:
    if isinstance(event, End) and not event.status.success:
        return AMBER
    return _STYLES.get(type(event), "")
