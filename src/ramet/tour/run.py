"""Runs the rows of the tour, each in its own process, which leaves nothing."""

import contextlib
import ctypes
import difflib
import importlib
import os
import select
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import ramet
from ramet import ChildDied, TimeoutExpired

from .probes import LIBC, WALL, checked
from .row import NotPermitted, Row, Seen, TooOld, Verdict

# In the order in which the tour shows them.
_MODULES = (
    "statements",
    "sharing",
    "words",
    "identity",
    "tracing",
    "namespaces",
    "start_and_end",
    "fork_statements",
)

_ROW_SECONDS = 10.0
# Two cannot be changed, and Python sets two itself.
_SIGNALS_LEFT_ALONE = {signal.SIGKILL, signal.SIGSTOP, signal.SIGINT, signal.SIGPIPE}
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37


class UnknownRowError(ValueError):
    """No row of the tour has this id."""


class Outcome(NamedTuple):
    """A row, and what was seen here."""

    row: Row
    seen: Seen


def all_rows() -> tuple[Row, ...]:
    """Every row of the tour."""
    modules = (importlib.import_module(f".{name}", __package__) for name in _MODULES)
    return tuple(row for module in modules for row in module.ROWS)


def select_rows(rows: Iterable[Row], only: Iterable[str]) -> tuple[Row, ...]:
    """The rows with these ids or words, in either case and with or without CLONE_; in the tour's order.

    Raises UnknownRowError, naming the nearest.
    """
    by_id = {row.id: row for row in rows}
    by_name = {row.word.upper(): row.id for row in by_id.values() if row.word}
    by_name |= {identity: identity for identity in by_id}
    wanted = {_known(name, by_name) for name in only}
    return tuple(row for row in by_id.values() if row.id in wanted)


def _known(name: str, by_name: dict[str, str]) -> str:
    written = name.strip().upper().removeprefix("CLONE_")
    if written in by_name:
        return by_name[written]
    nearest = difflib.get_close_matches(written, by_name, n=1, cutoff=0.0)
    hint = f"; the nearest is {nearest[0]}" if nearest else ""
    raise UnknownRowError(f"no row of the tour is called {name.strip()!r}{hint}")


def run(rows: Iterable[Row], row_seconds: float = _ROW_SECONDS) -> Iterator[Outcome]:
    """Make the experiments, one after the other. row_seconds: the time limit of each.

    Source: prctl(2) PR_SET_CHILD_SUBREAPER.
    """
    with _reaping_orphans():
        for row in rows:
            yield Outcome(row, _observe(row.experiment, row_seconds))


def _observe(experiment: Callable[[], Seen], seconds: float) -> Seen:
    """The result of an experiment in its own session, of which nothing is left afterwards.

    Its own process keeps an experiment's handlers, masks, directories and descriptors from the
    next one, and its process group holds all tasks that it made, under any parent.
    """
    group = 0
    try:
        with ramet.clone(_in_own_session, experiment, trusted=True) as child:
            group = child.pid
            try:
                in_time = _has_ended(child, seconds)
            finally:
                # The leader has not been reaped yet, so its pid is still this group's id.
                _kill_group(group)
            return _seen_by(child) if in_time else _differs(f"no end after {seconds:g} seconds")
    finally:
        _reap_group(group)


def _in_own_session(experiment: Callable[[], Seen]) -> Seen:
    os.setsid()
    _reset_signals()
    try:
        return experiment()
    except TooOld as missing:
        return Seen("", "", Verdict.TOO_OLD, str(missing), missing.needs)
    except NotPermitted as missing:
        return Seen("", "", Verdict.NOT_PERMITTED, str(missing))
    except Exception as error:
        return _differs(f"{type(error).__name__}: {error}")


def _reset_signals() -> None:
    """Reset handlers and mask, which the program that runs the tour may have set or inherited."""
    for number in signal.valid_signals() - _SIGNALS_LEFT_ALONE:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _seen_by(child: ramet.Child[Seen]) -> Seen:
    try:
        return child.result()
    except ChildDied as death:
        return _differs(f"the experiment gave no result, its process {death.status}")


def _differs(why: str) -> Seen:
    return Seen("", "", Verdict.DIFFERS, why)


def _has_ended(child: ramet.Child[Seen], seconds: float) -> bool:
    """Wait for the end of a child, and leave it to be reaped where there are pidfds (Linux 5.3)."""
    if child.pidfd is None:
        try:
            child.wait(seconds)
        except TimeoutExpired:
            return False
        return True
    poll = select.poll()
    poll.register(child, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _reap_group(group: int) -> None:
    """Reap the tasks that an experiment left to this process: orphans, and siblings made with PARENT."""
    with contextlib.suppress(ChildProcessError):
        while group:
            os.waitid(os.P_PGID, group, os.WEXITED | WALL)


@contextlib.contextmanager
def _reaping_orphans() -> Iterator[None]:
    """Become the subreaper of orphans, which not every machine's init reaps."""
    before = ctypes.c_int()
    checked(LIBC.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0))
    checked(LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
    try:
        yield
    finally:
        checked(LIBC.prctl(_PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0))
