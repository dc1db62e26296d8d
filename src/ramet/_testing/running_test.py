"""A test that runs in a clone of the session."""

import os
import random
import signal
import sys
import time
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from .._function.clone import clone
from .._kernel.timeouts import deadline_after, seconds_until
from .._limits.byte_counts import parsed_memory
from .._limits.python_stack import asked_stack, stack_file
from .._limits.resident_watch import SECONDS_BETWEEN_LOOKS
from .._process.child import Child
from ..errors import ChildDied
from ..exit_status import ExitStatus
from ..flags import CloneFlag
from .captured import CapturedOutput
from .in_clone import CANNOT_TELL, CloneOfSession, Reporter
from .journal import END, Journal, Record, lost_reports
from .left_processes import descendants, named
from .memory_of_tests import MemoryOfTests, first_in_clone
from .own_network import own_network
from .python_frames import without_machinery
from .random_numbers import draw_on
from .session_output import SessionOutput
from .shared_setup import SharedSetup
from .wishes import Wishes

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._limits.memory import MemoryBudget
    from .._setup.options import FunctionOptions

_PATIENCE_SECONDS = 2.0  # for the stack of a test that hangs
_SHORT_PATIENCE_SECONDS = 0.2  # of one that takes more memory meanwhile
_KILL_SECONDS = 10.0
_NOT_TOLD = (
    "could not write down how it ended (does the test close descriptors that are not its own, or limit the "
    "size of files?)"
)


class Ended(NamedTuple):
    """How a clone ended: what it wrote down, and unless it came to its end, why and where it died.

    ``output``: what it had printed that is in no report. ``killed``: which other processes were, in words.
    ``excess``: what fails its test, though it came to its end.
    """

    records: list[Record]
    output: list[tuple[str, str]]
    death: str = ""
    killed: str = ""
    stack: str = ""
    excess: str = ""


class _Written(NamedTuple):
    """What a clone has written down and printed up to a moment."""

    records: list[Record]
    output: list[tuple[str, str]]

    def is_whole(self) -> bool:
        return any(record.keys() & END for record in self.records)


class Shared(NamedTuple):
    """What all tests of a session have in common."""

    setup: SharedSetup
    reporter: Reporter
    memory: MemoryOfTests
    output: SessionOutput


class RunningTest:
    """A clone with its deadline and what it writes down. It ends by conclude(), or by abandon()."""

    def __init__(
        self,
        item: pytest.Item,
        nextitem: pytest.Item | None,
        wishes: Wishes,
        shared: Shared,
        mask: set[int],
    ) -> None:
        self.item = item
        self.nextitem = nextitem
        self.begun = time.time()
        self.since = shared.output.place()
        self.setup: pytest.TestReport | None = None  # of the session
        self.teardown: pytest.TestReport | None = None  # the same, when it is over
        self._wishes = wishes
        self._limit = self._killed = self._asked = ""
        self._at_limit: _Written | None = None
        with ExitStack() as held:
            self._stack_file = stack_file()
            held.callback(os.close, self._stack_file)
            self._journal = held.enter_context(Journal())
            self._output = held.enter_context(CapturedOutput(item.config))
            self._budget = _taken(held, shared.memory, wishes)
            in_clone = CloneOfSession(
                *(item, nextitem, shared.setup, shared.reporter, shared.output),
                *(self._journal, self._output, self._stack_file, sys.getrecursionlimit()),
            )
            self.child = held.enter_context(_cloned(in_clone, wishes, self._budget, mask))
            draw_on()
            self._watch = None if self._budget is None else self._budget.watch(self.child.pid)
            if self._watch is not None:
                held.callback(self._watch.close)
            self._held = held.pop_all()
        self._deadline = deadline_after(wishes.timeout)

    def seconds_to_look(self) -> float | None:
        """How long until look() is due; None: never."""
        if self._limit:
            return None
        left = seconds_until(self._deadline)
        if self._watch is None:
            return left
        return SECONDS_BETWEEN_LOOKS if left is None else min(left, SECONDS_BETWEEN_LOOKS)

    def look(self) -> None:
        """Kill it, with all that it started, where it is beyond a limit."""
        if self._limit:
            return
        if seconds_until(self._deadline) == 0:
            self._end_at(f"deadline of {self._wishes.timeout:g} s", _PATIENCE_SECONDS)
        elif self._watch is not None and self._watch.exceeds():
            self._end_at(f"memory limit of {self._wishes.memory}", _SHORT_PATIENCE_SECONDS)

    def _end_at(self, limit: str, patience_seconds: float) -> None:
        self._limit = limit
        # The signal that asks for the stack interrupts what hangs: the test may go on, and even pass.
        self._at_limit = self._written()
        self._asked = asked_stack(self.child.fileno(), self._stack_file, patience_seconds)
        self._killed = named("; killed with it:", descendants(self.child.pid))
        self._kill()

    def conclude(self) -> Ended:
        """Wait for its end, and return what there is."""
        status = self.child.wait()
        records, output = written = self._at_limit or self._written()
        death = lost_reports(records) if written.is_whole() else self._reason(status)
        if not death:
            ended = Ended(records, [], excess=self._excess())
        else:
            ended = Ended(records, output, death, self._killed, self._stack())
        self._held.close()
        return ended

    def _written(self) -> _Written:
        return _Written(list(self._journal.read()), self._output.sections())

    def interrupt(self) -> None:
        """Send it what Ctrl-C sends, for it to tear down its fixtures."""
        with suppress(ProcessLookupError):
            self.child.send_signal(signal.SIGINT)

    def interrupted_at(self) -> str:
        """Where its test was when it was interrupted, once it has ended; empty where it was not."""
        places = (record.get("interrupt") for record in self._journal.read())
        return next((place for place in places if place), "")

    def abandon(self) -> None:
        """Kill it, with all that it started, and forget what it wrote: the session is to end."""
        self._kill()
        self.child.wait()
        self._held.close()

    def _kill(self) -> None:
        try:
            self.child.kill_tree(_KILL_SECONDS)
        except (OSError, RuntimeError):
            self.child.kill()

    def _reason(self, status: ExitStatus) -> str:
        if not self._limit and status.signal == signal.SIGKILL and self._is_out_of_memory():
            self._limit = f"memory limit of {self._wishes.memory}"
        if self._limit:
            return f"killed at its {self._limit}"
        if (problem := _raised(self.child)) is not None:
            return f"not set up: {type(problem).__name__}: {problem}"
        if status.code == CANNOT_TELL:
            return f"{_NOT_TOLD}; its process {status}"
        return str(status)

    def _excess(self) -> str:
        """That the kernel has killed what the test started; it may not have looked at how that ended."""
        if not self._is_out_of_memory():
            return ""
        return f"a process that it started was killed at its memory limit of {self._wishes.memory}"

    def _is_out_of_memory(self) -> bool:
        return self._budget is not None and self._budget.has_killed()

    def _stack(self) -> str:
        """What it was asked for, or what faulthandler wrote as it crashed."""
        written = os.pread(self._stack_file, os.fstat(self._stack_file).st_size, 0)
        return without_machinery(self._asked or written.decode("utf-8", "replace"))


def _taken(held: ExitStack, memory: MemoryOfTests, wishes: Wishes) -> "MemoryBudget | None":
    if wishes.memory is None:
        return None
    budget = memory.take(parsed_memory("memory", wishes.memory))
    held.callback(memory.give_back, budget)
    return budget


def _cloned(
    in_clone: CloneOfSession, wishes: Wishes, budget: "MemoryBudget | None", mask: set[int]
) -> Child[None]:
    options: FunctionOptions = {"pdeathsig": signal.SIGKILL}
    flags = CloneFlag(0)
    first: list[Callable[[], object]] = [
        partial(signal.pthread_sigmask, signal.SIG_SETMASK, mask),
        # A fork seeds it anew: a suite may have done that.
        partial(random.setstate, random.getstate()),
    ]
    if budget is not None:
        first.append(first_in_clone(budget, in_clone.item.config))
    if wishes.net:
        flags, map_ids = own_network()
        first.append(map_ids)
        options["loopback"] = True

    def run() -> None:
        for prepare in first:
            prepare()
        in_clone.run()

    directory = None if budget is None else budget.directory
    return clone(run, flags=flags, cgroup=directory, **options)


def _raised(child: Child[None]) -> BaseException | None:
    """What kept the clone from beginning the test."""
    try:
        return child.exception()
    except ChildDied:
        return None
