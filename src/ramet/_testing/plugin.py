"""The plugin itself: when a test begins in its clone, and when the session waits for its end."""

import faulthandler
import gc
import os
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from _pytest.runner import CallInfo, call_and_report

from .._kernel.timeouts import deadline_after, seconds_until
from .._process.child import Child
from .._process.waiting import wait
from .debugger import refuse_debugger
from .held_signals import held_signals
from .in_clone import Reporter
from .left_processes import named
from .memory_of_tests import MemoryOfTests
from .reports import complete, of_refusal, tell
from .running_test import RunningTest, Shared
from .session_children import SessionChildren
from .session_output import SessionOutput
from .shared_setup import SharedSetup
from .warned import warn_of
from .wishes import Wishes

_OLDEST_PYTEST = (8, 1)
_OWN_INTERRUPT_SECONDS = 0.5
_TEARDOWN_SECONDS = 5.0


def prepare(session: pytest.Session) -> None:
    """Register the plugin if a test of this session is to run in a clone.

    Raises a UsageError for a mark that cannot be meant, and for a debugger.
    """
    config = session.config
    wishes = {item: wished for item in session.items if (wished := Wishes.of(item)) is not None}
    if not wishes or any(config.getoption(name, False) for name in ("setuponly", "setupplan")):
        return
    if pytest.version_tuple < _OLDEST_PYTEST:
        raise pytest.UsageError(
            f"tests in clones need pytest {_OLDEST_PYTEST[0]}.{_OLDEST_PYTEST[1]} or later, "
            f"this is {pytest.__version__}"
        )
    refuse_debugger(config, f"tests in clones ({next(iter(wishes)).nodeid})")
    config.pluginmanager.register(TestsInClones(session, wishes), "ramet-clones")


class TestsInClones:
    """Hooks of pytest.

    A test begins with what it shares with others: the session's process sets up its module, its class
    and its wider fixtures. The clone does the rest. The session waits for its end at once. With several
    clones at a time it does so when their number is reached, when something that tests share is torn
    down or made anew, or when a test is to run in the session itself.
    """

    __test__ = False

    def __init__(self, session: pytest.Session, wishes: dict[pytest.Item, Wishes]) -> None:
        self._session = session
        self._wishes = wishes
        self._most = _checked_jobs(session.config.getoption("ramet_jobs", None))
        self._running: list[RunningTest] = []
        self._children = SessionChildren()
        self._memory = MemoryOfTests()
        self._output = SessionOutput(session.config)
        self._setup = SharedSetup()
        session._setupstate = self._setup
        self._reporter = Reporter(session.config)
        session.config.pluginmanager.register(self._reporter, "ramet-reporter")
        self._has_warned = False
        _make_temporary_directory(session.config)
        # A clone that collects would look at, and so copy, all that the session holds: 4 ms a test.
        gc.collect()
        gc.freeze()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run the test in a clone, or leave it to pytest."""
        try:
            if item not in self._wishes:
                self._conclude_all()
                return None
            self._make_room_for(item)
            if not self._is_stopping():
                self._begin(item, nextitem)
            return True
        except KeyboardInterrupt as interrupt:
            place = self._interrupt_all()
            raise (KeyboardInterrupt(place) if place else interrupt) from None
        except BaseException:
            self._abandon_all()
            raise

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """End what still runs, before pytest tears down what it uses."""
        self._abandon_all()
        self._children.close()
        self._memory.close()
        gc.unfreeze()

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool | None:
        """A timeout of pytest-timeout is the deadline of the clone, unless it is for the call alone.

        Of two deadlines the earlier one counts.
        """
        wishes = self._wishes.get(item)
        if wishes is None or settings.func_only:
            return None
        if wishes.timeout is None or settings.timeout < wishes.timeout:
            self._wishes[item] = wishes._replace(timeout=settings.timeout)
        return True

    # ---- one test

    def _begin(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        if not self._running:
            self._children.keep_all()
            self._output.forget()
        if getattr(item, "_request", None) is False:  # it runs again
            item._initrequest()  # type: ignore[attr-defined]
        if self._most == 1:
            _say_start(item)
        with self._children.made_by_session(), self._setup.shared_for(item):
            setup = call_and_report(item, "setup", log=False)
        if not setup.passed:
            self._tell_without_clone(item, nextitem, setup)
            return
        try:
            # until an interrupt knows of the clone
            with self._output.captured(), held_signals() as mask:
                running = self._cloned(item, nextitem, mask)
                self._running.append(running)
        except OSError as error:
            self._tell_without_clone(item, nextitem, of_refusal(item, error))
            return
        running.setup = setup
        if self._most > 1 and nextitem is not None and not self._setup.ends_with(nextitem):
            running.teardown = self._torn_down(item, nextitem)
        else:
            self._conclude_all(last=running)

    def _cloned(
        self, item: pytest.Item, nextitem: pytest.Item | None, mask: set[int]
    ) -> RunningTest:
        self._warn_of_threads(item)
        faulthandler.cancel_dump_traceback_later()  # pytest's timer: the clone has one of its own
        if item.config.pluginmanager.has_plugin("terminalreporter"):
            item.config.get_terminal_writer().flush()
        shared = Shared(self._setup, self._reporter, self._memory, self._output)
        return RunningTest(item, nextitem, self._wishes[item], shared, mask)

    def _conclude(self, running: RunningTest) -> None:
        self._running.remove(running)
        ended = running.conclude()
        if ended.death:
            left = self._children.end_left()
            killed = ended.killed + named("; left running, and killed:", left)
            ended = ended._replace(killed=killed)
        else:
            self._children.reap_ended()
        item = running.item
        if self._most > 1:
            _say_start(item)
        clones = tell(running, ended, self._output.sections(running.since))
        _say_end(item, complete(clones, self._torn_down_after(running)))

    def _tell_without_clone(
        self, item: pytest.Item, nextitem: pytest.Item | None, setup: pytest.TestReport
    ) -> None:
        if nextitem is None or self._setup.ends_with(nextitem):
            self._conclude_all()
        if self._most > 1:
            _say_start(item)
        item.ihook.pytest_runtest_logreport(report=setup)
        _say_end(item, self._torn_down(item, nextitem))

    def _torn_down_after(self, running: RunningTest) -> pytest.TestReport:
        if running.teardown is None:
            return self._torn_down(running.item, running.nextitem)
        if not self._is_stopping():
            return running.teardown
        return complete(running.teardown, self._rest_torn_down(running.item))

    def _rest_torn_down(self, item: pytest.Item) -> pytest.TestReport:
        """The report of what others were to use, none of which is to run: its errors are this test's."""
        self._abandon_all()
        since = self._output.place()
        with self._children.made_by_session(), self._output.captured():
            call = CallInfo.from_call(
                lambda: self._setup.teardown_exact(None),
                "teardown",
                reraise=(pytest.exit.Exception, KeyboardInterrupt),
            )
        report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
        report.sections += self._output.sections(since)
        return report

    def _torn_down(self, item: pytest.Item, nextitem: pytest.Item | None) -> pytest.TestReport:
        """The report of what the session tears down before the next test."""
        if self._is_stopping():
            self._abandon_all()
            nextitem = None
        with self._children.made_by_session():
            report = call_and_report(item, "teardown", log=False, nextitem=nextitem)
        if hasattr(item, "_request"):  # as pytest lets go of a test
            item._request = False
            item.funcargs = None  # type: ignore[attr-defined]
        return report

    # ---- those that run

    def _make_room_for(self, item: pytest.Item) -> None:
        if self._setup.changes_with(item):
            self._conclude_all()
        while len(self._running) >= self._most and not self._is_stopping():
            self._conclude(self._first_ended(self._running))

    def _conclude_all(self, last: RunningTest | None = None) -> None:
        """Wait for all; last: the one to which pytest ascribes errors of what is torn down next."""
        while self._running and not self._is_stopping():
            others = [running for running in self._running if running is not last]
            self._conclude(self._first_ended(others or self._running))
        self._abandon_all()

    def _first_ended(self, among: Sequence[RunningTest]) -> RunningTest:
        """Wait for the first of them, and kill any whose deadline comes meanwhile."""
        with self._output.captured():
            while True:
                for running in self._running:
                    running.look()
                due = [in_s for one in self._running if (in_s := one.seconds_to_look()) is not None]
                ended = wait([running.child for running in among], min(due, default=None))
                if ended:
                    return next(running for running in among if running.child is ended[0])

    def _interrupt_all(self) -> str:
        """Have the clones tear down their fixtures, and end them; where a test of theirs was, if told.

        A terminal has sent the interrupt to each of them, kill(1) to the session alone.
        """
        try:
            self._await_all(_OWN_INTERRUPT_SECONDS)
            for running in self._running:
                running.interrupt()
            left = self._await_all(_TEARDOWN_SECONDS)
            ended = [running for running in self._running if running.child not in left]
            return next((place for running in ended if (place := running.interrupted_at())), "")
        finally:
            self._abandon_all()

    def _await_all(self, seconds: float) -> set[Child[None]]:
        """Those that have not ended when the time is over."""
        deadline, left = deadline_after(seconds), {running.child for running in self._running}
        while left and seconds_until(deadline):
            left.difference_update(wait(left, seconds_until(deadline)))
        return left

    def _abandon_all(self) -> None:
        while self._running:
            self._running.pop().abandon()

    def _is_stopping(self) -> bool:
        return bool(self._session.shouldfail or self._session.shouldstop)

    def _warn_of_threads(self, item: pytest.Item) -> None:
        others = [thread.name for thread in threading.enumerate()]
        others.remove(threading.current_thread().name)
        if others and not self._has_warned:
            self._has_warned = True
            warn_of(
                item,
                f"tests run in clones of a process with {len(others)} more threads, {', '.join(others)}: "
                "a clone has none of them, and what one holds locked stays locked there; give tests a "
                "timeout, or start the threads in a fixture of the function",
            )


def _say_start(item: pytest.Item) -> None:
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)


def _say_end(item: pytest.Item, teardown: pytest.TestReport) -> None:
    item.ihook.pytest_runtest_logreport(report=teardown)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def _make_temporary_directory(config: pytest.Config) -> None:
    """That of the session, in which each clone makes its own."""
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is not None:
        factory.getbasetemp()


def _checked_jobs(jobs: str | None) -> int:
    if jobs in ("auto", "logical"):
        return len(os.sched_getaffinity(0))
    try:
        return max(1, int(jobs or 1))
    except ValueError:
        raise pytest.UsageError(f"invalid -n: expected a number or auto, got {jobs!r}") from None
