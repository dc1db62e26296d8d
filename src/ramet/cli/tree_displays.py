"""Where a tree that is watched is shown: on a terminal's screen, in a log, as lines of JSON."""

import json
import signal
import time
from collections import deque
from typing import Final, Self

import click
from rich.console import Console, Group
from rich.text import Text

from ..observe import Task, Tree
from ..observe.tree_notes import notes
from ..observe.tree_rows import shares_less, shown_name
from ..tour.colours import AMBER, GREEN, NOTE
from .tree_changes import WORDS, Change
from .tree_lines import STYLES, View, lines

_SHOWN_CHANGES: Final = 8
_SIGNS: Final = {"+": GREEN, "-": NOTE, ">": NOTE, "~": AMBER}
_NEW: Final = "bold white on green"


class Display:
    """A place to show it. ``signals``: those that it wants to know of."""

    signals: frozenset[signal.Signals] = frozenset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the place as it was."""

    def show(self, seen: Tree, new: list[Change]) -> None:
        """Show what there is; at first, and after a signal, nothing is new."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop this process, as the terminal asks it to, until it is continued."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
        signal.raise_signal(signal.SIGTSTP)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})


class Terminal(Display):
    """The whole screen of a terminal, which is as it was in the end, and while this process is stopped."""

    signals = frozenset({signal.SIGTSTP, signal.SIGWINCH})

    def __init__(self, view: View, console: Console) -> None:
        self._view = view
        self._console = console
        self._screen = console.screen()
        self._last: deque[Text] = deque(maxlen=_SHOWN_CHANGES)

    def __enter__(self) -> Self:
        self._screen.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the screen as it was."""
        self._screen.__exit__(None, None, None)

    def stop(self) -> None:
        """The same, with the screen as it was."""
        self.__exit__()
        super().stop()
        self.__enter__()

    def show(self, seen: Tree, new: list[Change]) -> None:
        """Draw all of it."""
        self._last.extend(map(told, of_shown(new, self._view)))
        begun = {change.task.pid for change in new if change.sign == "+"}
        shown = list(lines(self._view.rows(seen), lambda task: _NEW if task.pid in begun else ""))
        height = self._console.size.height
        last = [*self._last][-max(1, height // 4) :]
        room = height - 2 - len(last)
        if len(shown) > room:
            cut = len(shown) - max(room - 1, 0)
            shown[-cut:] = [Text(f"{cut} more: a PID, or a higher window, shows them", style=NOTE)]
        title = f"{self._view.title}, {time.strftime('%X')}; Ctrl-C ends"
        page = [Text(title, style=NOTE), *shown, Text(), *last]
        for line in page:
            line.no_wrap, line.overflow = True, "ellipsis"
        self._screen.update(Group(*page))


class Log(Display):
    """Lines, each of them added to those before."""

    def __init__(self, view: View, console: Console) -> None:
        self._view = view
        self._console = console
        self._is_first = True

    def show(self, seen: Tree, new: list[Change]) -> None:
        """The tree, and later only what is new."""
        if self._is_first:
            added = list(lines(self._view.rows(seen)))
        else:
            added = [told(change) for change in of_shown(new, self._view)]
        self._is_first = False
        for line in added:
            self._console.print(line, soft_wrap=True)
        self._console.file.flush()


class JsonLines(Display):
    """A line for the tree, and one for each change. ``time``: in seconds since 1970."""

    def __init__(self) -> None:
        self._is_first = True

    def show(self, seen: Tree, new: list[Change]) -> None:
        """The tree, and later only what is new."""
        if self._is_first:
            click.echo(json.dumps({"time": time.time(), **seen.to_dict()}))
        self._is_first = False
        for sign, task, _ in new:
            said = {"time": time.time(), "change": WORDS[sign], "task": task.to_dict()}
            click.echo(json.dumps(said))


def of_shown(new: list[Change], view: View) -> list[Change]:
    """Those of tasks that the view shows: of threads that are only counted nothing is told."""
    return [
        change
        for change in new
        if view.threads or not change.task.is_thread or shares_less(notes(change.task, change.tree))
    ]


def told(change: Change) -> Text:
    """A change in a line."""
    sign, task, tree = change
    text = Text.assemble((f"{time.strftime('%X')} {sign} ", _SIGNS[sign]), _who(task))
    if sign in {"-", ">"}:
        return text.append(f"  {WORDS[sign]}", NOTE)
    for note in notes(task, tree):
        text.append("  ").append(note.words, STYLES[note.kind])
    return text


def _who(task: Task) -> str:
    whose = f" of {task.process}" if task.is_thread else f" below {task.parent}"
    return f"{shown_name(task)} {task.pid}{whose if task.parent else ''}"
