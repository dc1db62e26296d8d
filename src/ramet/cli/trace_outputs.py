"""Where a trace is shown: lines, files of events, and pages drawn at its end."""

import errno
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from typing import Any, Protocol, TextIO

import click

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
    """All that were asked for. ``has_failed``: what somebody would have read could not be written.

    The program does not end with what is told of it: where its reader has gone, or the disk is full, the
    rest is written nowhere.
    """

    def __init__(self, tree: Tree, places: list[tuple[TextIO, Shown]]) -> None:
        self.has_failed = False
        self._tree = tree
        self._places = places
        self._lost: set[TextIO] = set()

    @property
    def are_read(self) -> bool:
        """Whether what is told comes to somebody."""
        return any(file not in self._lost for file, _ in self._places)

    def show(self, event: Event) -> None:
        """What came next."""
        self._tree.add(event)
        self._each(lambda place: place.show(event))

    def note(self, text: str) -> None:
        """What is said about the trace itself."""
        self._each(lambda place: place.note(text))

    def close(self) -> None:
        """The trace is over: what is drawn of all of it is written now."""
        self._each(lambda place: place.close())

    def _each(self, tell: Callable[[Shown], None]) -> None:
        for file, place in self._places:
            try:
                tell(place)
            except OSError as error:
                self._lose(file, error)

    def _lose(self, file: TextIO, error: OSError) -> None:
        """What it holds, and what comes next, is written nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, file.fileno())
        os.close(nowhere)
        self._lost.add(file)
        if not isinstance(error, BrokenPipeError):
            self.has_failed = True
            click.echo(
                f"ramet trace: {file.name}: {error.strerror}: the rest is not written", err=True
            )


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


_FILES = {
    "output": "--output",
    "json_file": "--json",
    "chrome": "--chrome",
    "html": "--html",
}


def _refuse_one_for_two(values: dict[str, Any]) -> None:
    """ValueError for a file that two options name: each would write over the other's text."""
    taken: dict[str, str] = {}
    for key, option in _FILES.items():
        name = values[key]
        if name is None or (os.path.exists(name) and not os.path.isfile(name)):  # as /dev/null
            continue
        other = taken.setdefault(name if name == "-" else os.path.realpath(name), option)
        if other != option:
            raise ValueError(
                f"invalid {option}: expected a file of its own, got {name!r}, which {other} writes"
            )


@contextmanager
def outputs(argv: tuple[str, ...], pid: int | None, values: dict[str, Any]) -> Iterator[Outputs]:
    """Those that the options ask for; their files are open meanwhile."""
    is_drawn = values["summary"] or values["html"] is not None or values["chrome"] is not None
    tree = Tree(keeps_all=is_drawn)
    what = shlex.join(argv) if pid is None else f"process {pid}"
    _refuse_one_for_two(values)
    with ExitStack() as held:

        def opened(name: str) -> TextIO:
            """Each line is there at once, for one who follows it. What stdout cannot encode is escaped."""
            if name != "-":
                return held.enter_context(open(name, "w", 1, "utf-8", "surrogateescape"))
            if sys.__stdout__ is None:
                raise OSError(errno.EBADF, "the standard output is closed")
            if isinstance(sys.stdout, TextIOWrapper):
                sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
            return sys.stdout

        where = values["output"]
        told = sys.stderr if where is None else opened(where)
        lines = Lines(told, Words(full=values["full"]), tree)
        places: list[tuple[TextIO, Shown]] = []
        if values["json_file"] is not None:
            file = opened(values["json_file"])
            places.append((file, _JsonLines(file)))
        if values["chrome"] is not None:
            file = opened(values["chrome"])
            places.append((file, _AtEnd(file, lambda: chrome_text(tree))))
        if values["html"] is not None:
            file = opened(values["html"])
            places.append((file, _AtEnd(file, lambda: page_text(tree, what))))
        if values["summary"]:
            summary = _AtEnd(told, lambda: "".join(f"{one}\n" for one in summary_lines(tree)))
            places.append((told, summary))
        places.append((told, _Last(lines) if values["summary"] or values["quiet"] else lines))
        yield Outputs(tree, places)
