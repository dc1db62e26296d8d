"""What the clone of a session does: it runs one test, and writes down what pytest would report."""

import faulthandler
import os
import sys
from traceback import format_exc
from typing import Any, NoReturn

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from _pytest.runner import runtestprotocol

from .._limits.python_stack import answer_stack_requests
from .._process.tree.subreaper import set_subreaper
from .captured import CapturedOutput
from .coverage_data import save_coverage
from .journal import Journal
from .left_processes import end_left_processes
from .shared_setup import SharedSetup
from .warned import recorded_warnings, warning_as_data


class CloneOfSession:
    """The session as the clone has it."""

    def __init__(
        self,
        item: pytest.Item,
        nextitem: pytest.Item | None,
        setup: SharedSetup,
        reporter: "Reporter",
        journal: Journal,
        output: CapturedOutput,
        stack_file: int,
    ) -> None:
        self._item = item
        self._nextitem = nextitem
        self._setup = setup
        self._reporter = reporter
        self._journal = journal
        self._output = output
        self._stack_file = stack_file

    def run(self) -> NoReturn:
        """Run the test, and end this process, without what a session does at its end."""
        session = self._item.session
        try:
            self._prepare()
            with recorded_warnings(self._item.config) as warned:
                runtestprotocol(self._item, nextitem=self._nextitem)
            for warning in warned:
                self._journal.write({"warning": warning_as_data(warning)})
            save_coverage()
            self._journal.write({"end": [session.shouldfail, session.shouldstop]})
        except pytest.exit.Exception as error:
            self._journal.write({"exit": [error.msg, error.returncode]})
        except KeyboardInterrupt:
            self._journal.write({"interrupt": True})
        except BaseException:  # of a hook: pytest ends with an internal error
            self._journal.write({"error": format_exc()})
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(0)

    def _prepare(self) -> None:
        self._journal.begin()
        set_subreaper(True)
        faulthandler.enable(self._stack_file)
        answer_stack_requests(self._stack_file)
        _set_timer(self._item.config, self._stack_file)
        self._output.take_over()
        self._setup.begin_clone(_require_no_processes)
        self._reporter.write_to(self._journal)


class Reporter:
    """A plugin that does nothing in the session, and in a clone writes down what is reported."""

    __test__ = False

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._journal: Journal | None = None

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


def _require_no_processes() -> None:
    left = end_left_processes()
    if left:
        pytest.fail(
            f"left running at the test's end, and killed: {', '.join(map(str, left))}",
            pytrace=False,
        )
