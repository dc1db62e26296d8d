"""What the clone of a session does: it runs one test, and writes down what pytest would report."""

import faulthandler
import os
import signal
import sys
from contextlib import suppress
from traceback import format_exc
from typing import Any, NamedTuple, NoReturn

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from _pytest.runner import CallInfo, runtestprotocol

from .._limits.python_stack import answer_stack_requests
from .._process.tree.own_tree import end_own_tree
from .captured import CapturedOutput
from .coverage_data import save_coverage
from .journal import Journal
from .left_processes import end_left_processes
from .session_output import SessionOutput
from .shared_setup import SharedSetup
from .warned import recorded_warnings, warning_as_data

CANNOT_TELL = os.EX_IOERR  # the exit code of a clone that could not write down how its test ended


class CloneOfSession(NamedTuple):
    """The session as the clone has it: which test it runs, and where it writes."""

    item: pytest.Item
    nextitem: pytest.Item | None
    setup: SharedSetup
    reporter: "Reporter"
    of_session: SessionOutput
    journal: Journal
    output: CapturedOutput
    stack_file: int
    recursion_limit: int

    def run(self) -> NoReturn:
        """Run the test, and end this process, without what a session does at its end."""
        code = CANNOT_TELL
        try:
            self._run()
            code = 0
            _remove_temporary_directory()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code)

    def _run(self) -> None:
        session = self.item.session
        try:
            self._prepare()
            with recorded_warnings(self.item.config) as warned:
                runtestprotocol(self.item, nextitem=self.nextitem)
            for warning in warned:
                self.journal.write({"warning": warning_as_data(warning)})
            save_coverage()
            count = self.reporter.count
            self.journal.write({"end": [session.shouldfail, session.shouldstop, count]})
        except pytest.exit.Exception as error:
            self._stop()
            self.journal.write({"exit": [error.msg, error.returncode]})
        except KeyboardInterrupt as interrupt:
            self._stop()
            self.journal.write({"interrupt": _place_of(interrupt)})
        except MemoryError:  # the test has set a limit itself, say
            self.journal.write({"lost": "could not make its reports for want of memory"})
        except RecursionError:  # the same, of another kind
            limit = sys.getrecursionlimit()
            sys.setrecursionlimit(self.recursion_limit)
            told = f"could not make its reports at a recursion limit of {limit}"
            self.journal.write({"lost": told})
        except BaseException:  # of a hook: pytest ends with an internal error
            self.journal.write({"error": format_exc()})

    def _stop(self) -> None:
        """Tear down in the middle of the test, as a session does at its end."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # from here on the session ends what hangs
        call = CallInfo.from_call(lambda: self.setup.stop_clone(end_left_processes), "teardown")
        if call.excinfo is not None:
            hook = self.item.ihook
            report = hook.pytest_runtest_makereport(item=self.item, call=call)
            hook.pytest_runtest_logreport(report=report)
        save_coverage()

    def _prepare(self) -> None:
        self.journal.begin()
        self.of_session.leave()
        end_own_tree(with_parent=True)
        faulthandler.enable(self.stack_file)
        answer_stack_requests(self.stack_file)
        _set_timer(self.item.config, self.stack_file)
        self.output.take_over()
        self.setup.begin_clone(_require_no_processes)
        self.reporter.write_to(self.journal)


class Reporter:
    """A plugin that does nothing in the session, and in a clone writes down what is reported."""

    __test__ = False

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._journal: Journal | None = None
        self.count = 0  # of reports, in a clone

    def write_to(self, journal: Journal) -> None:
        """From here on: nobody else prints or counts reports, as the session does when it has read them."""
        self._journal = journal
        logreport = self._config.hook.pytest_runtest_logreport
        for implementation in logreport.get_hookimpls():
            if implementation.plugin is not self:
                logreport._remove_plugin(implementation.plugin)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write down a report, of a subtest too."""
        if self._journal is not None:
            self.count += 1
            data = self._config.hook.pytest_report_to_serializable(
                config=self._config, report=report
            )
            self._journal.write({"report": data})


def _set_timer(config: pytest.Config, stack_file: int) -> None:
    """That of pytest's faulthandler plugin, which is a thread of the session's and is not in the clone."""
    seconds = float(_ini(config, "faulthandler_timeout") or 0.0)
    if seconds > 0:
        ends = bool(_ini(config, "faulthandler_exit_on_timeout"))
        shown = stack_file if ends else config.stash[fault_handler_stderr_fd_key]
        faulthandler.dump_traceback_later(seconds, file=shown, exit=ends)


def _ini(config: pytest.Config, name: str) -> Any:
    try:
        return config.getini(name)
    except (KeyError, ValueError):  # without the plugin, and in an older pytest
        return None


def _place_of(interrupt: KeyboardInterrupt) -> str:
    crash = pytest.ExceptionInfo.from_exception(interrupt).getrepr().reprcrash
    return "" if crash is None else f"{crash.path}:{crash.lineno}"


def _remove_temporary_directory() -> None:
    """Multiprocessing's, if this clone has made it: Python's own exit would, to which it does not come."""
    with suppress(Exception):
        util: Any = sys.modules["multiprocessing.util"]
        for finalizer in list(util._finalizer_registry.values()):
            if finalizer._callback is util._remove_temp_dir:
                finalizer()  # which does nothing for the session's, by its pid


def _require_no_processes() -> None:
    left = end_left_processes()
    if left:
        pytest.fail(
            f"left running at the test's end, and killed: {', '.join(map(str, left))}",
            pytrace=False,
        )
