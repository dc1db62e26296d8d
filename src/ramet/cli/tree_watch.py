"""ramet tree --watch: looking again and again, until somebody ends it."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import click

from .._kernel.timeouts import LONGEST_WAIT_SECONDS
from ..observe import Tree
from ..tour.colours import console_for
from .tree_changes import Change, changes
from .tree_displays import Display, JsonLines, Log, Terminal
from .tree_lines import View

# So much of one processor is used for looking at most, however many tasks there are.
_SHARE_OF_PROCESSOR: Final = 0.1
_ENDS: Final = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def watch(view: View, seconds: float, *, as_json: bool) -> None:
    """Look and show until Ctrl-C, another signal that ends it, or the end of the process at the top."""
    console = console_for(sys.stdout)
    display: Display
    if as_json:
        display = JsonLines()
    else:
        has_screen = console.is_terminal and not console.is_dumb_terminal
        display = Terminal(view, console) if has_screen else Log(view, console)
    with _signals_kept(_ENDS | display.signals) as awaited, display:
        ended_by = _watch(view, seconds, display, awaited)
    if ended_by is not None and ended_by != signal.SIGINT:
        signal.raise_signal(ended_by)  # with its usual effect, since the terminal is what it was


def _watch(view: View, seconds: float, display: Display, awaited: set[Any]) -> int | None:
    """The signal that has ended it, or None at the end of the process at the top."""
    begun = time.thread_time()
    seen = view.look()
    new: list[Change] = []
    while True:
        display.show(seen, new)
        if view.pid is not None and seen.tasks[0].has_ended:
            return None
        used = time.thread_time() - begun
        pause = min(max(seconds, used / _SHARE_OF_PROCESSOR), LONGEST_WAIT_SECONDS)
        told = signal.sigtimedwait(awaited, pause)
        begun = time.thread_time()
        if told is None:
            before, seen = seen, _seen_again(view, seen)
            new = changes(before, seen)
        elif told.si_signo in _ENDS:
            return told.si_signo
        else:
            new = []
            if told.si_signo == signal.SIGTSTP:
                display.stop()


def _seen_again(view: View, before: Tree) -> Tree:
    """The tree; with nothing but the process at the top where that has ended."""
    if view.pid is None:
        return view.look()
    top = before.tasks[0]
    try:
        now = view.look()
    except click.ClickException:
        now = Tree(())
    if now.tasks and now.tasks[0].start_time == top.start_time:
        return now
    return Tree((replace(top, state="X"),))


@contextmanager
def _signals_kept(numbers: set[signal.Signals]) -> Iterator[set[Any]]:
    """Keep these signals for sigtimedwait(2), but for those that are ignored, as after nohup(1)."""
    awaited = {number for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    try:
        yield awaited
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
