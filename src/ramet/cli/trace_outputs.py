"""Where a trace is shown: lines, files of events, and pages drawn at its end."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, TextIO

from ..observe.tracing import Cost, Event, to_dict
from ..observe.tracing.tree import Tree
from .trace_chrome import chrome_text
from .trace_html import page_text
from .trace_lines import Lines
from .trace_summary import summary_lines
from .trace_words import Words


class Shown(Protocol):
    """One place of them."""

    def show(self, event: Event) -> None:
        """What came next; the tree has been told of it."""

    def note(self, text: str) -> None:
        """What is said about the trace itself."""

    def close(self) -> None:
        """The trace is over."""


class Outputs:
    """All that were asked for."""

    def __init__(self, tree: Tree, places: list[Shown]) -> None:
        self._tree = tree
        self._places = places

    def show(self, event: Event) -> None:
        """What came next."""
        self._tree.add(event)
        for place in self._places:
            place.show(event)

    def note(self, text: str) -> None:
        """What is said about the trace itself."""
        for place in self._places:
            place.note(text)

    def close(self) -> None:
        """The trace is over: what is drawn of all of it is written now."""
        for place in self._places:
            place.close()


class _JsonLines:
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def show(self, event: Event) -> None:
        self._file.write(json.dumps(to_dict(event)) + "\n")

    def note(self, text: str) -> None:
        """For people alone."""

    def close(self) -> None:
        self._file.flush()


class _AtEnd:
    """What is written when all is known."""

    def __init__(self, file: TextIO, text: Callable[[], str]) -> None:
        self._file = file
        self._text = text

    def show(self, event: Event) -> None:
        """The tree has it."""

    def note(self, text: str) -> None:
        """The pages say it themselves."""

    def close(self) -> None:
        self._file.write(self._text())
        self._file.flush()


class _Last:
    """Of the lines only the last, what the trace has cost."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.note, self.close = lines.note, lines.close

    def show(self, event: Event) -> None:
        if isinstance(event, Cost):
            self._lines.show(event)


@contextmanager
def outputs(argv: tuple[str, ...], pid: int | None, values: dict[str, Any]) -> Iterator[Outputs]:
    """Those that the options ask for; their files are open meanwhile."""
    tree = Tree()
    what = shlex.join(argv) if pid is None else f"process {pid}"
    with ExitStack() as held:

        def opened(name: str) -> TextIO:
            if name == "-":
                return sys.stdout
            return held.enter_context(open(name, "w", encoding="utf-8", errors="surrogateescape"))

        told = sys.stderr if values["output"] is None else opened(values["output"])
        lines = Lines(told, Words(full=values["full"]), tree)
        places: list[Shown] = []
        if values["json_file"] is not None:
            places.append(_JsonLines(opened(values["json_file"])))
        if values["chrome"] is not None:
            places.append(_AtEnd(opened(values["chrome"]), lambda: chrome_text(tree)))
        if values["html"] is not None:
            places.append(_AtEnd(opened(values["html"]), lambda: page_text(tree, what)))
        if values["summary"]:
            places.append(_AtEnd(told, lambda: "".join(f"{one}\n" for one in summary_lines(tree))))
        places.append(_Last(lines) if values["summary"] or values["quiet"] else lines)
        yield Outputs(tree, places)
