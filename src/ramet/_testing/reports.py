"""What pytest is told of a test that ran in a clone."""

import sys
import time
from typing import Any, Literal, NoReturn, TypeAlias

import pytest
from _pytest.runner import CallInfo
from _pytest.unittest import TestCaseFunction

from .journal import STOP, Record
from .running_test import Ended, RunningTest
from .warned import warn_again

Phase: TypeAlias = Literal["setup", "call", "teardown"]


def tell(
    running: RunningTest, ended: Ended, of_session: list[tuple[str, str]]
) -> pytest.TestReport | None:
    """Have pytest take the clone's warnings and reports; that of its teardown is returned, for complete().

    of_session: sections with what the session wrote meanwhile.
    Raises what ends the session: pytest.exit() in the test, an interrupt, an error of a hook.
    """
    item = running.item
    reports = _of_clone(running, ended)
    for report in _own(reports):
        report.sections += of_session
    for record in ended.records:
        if "warning" in record:
            warn_again(item, record["warning"])
    teardown = None
    for report in reports:
        if report.when == "teardown":
            teardown = report
        else:
            if report.when == "setup" and running.setup is not None:
                report.start = running.setup.start
                report.duration += running.setup.duration
            _count_subtest(item, report)
            item.ihook.pytest_runtest_logreport(report=report)
    for record in ended.records:
        if teardown is not None and record.keys() & STOP:
            item.ihook.pytest_runtest_logreport(report=teardown)
        _stop_session(item.session, record)
    return teardown


def complete(clones: pytest.TestReport | None, sessions: pytest.TestReport) -> pytest.TestReport:
    """One report of the teardown: of the test in its clone, and of wider fixtures in the session."""
    if clones is None:
        return sessions
    if sessions.passed:
        told, other = clones, sessions
    else:
        told, other = sessions, clones
    known = set(told.sections)
    told.sections += [section for section in other.sections if section not in known]
    told.user_properties = clones.user_properties
    told.duration = clones.duration + sessions.duration
    if clones.failed and sessions.failed:
        told.sections.append(("Teardown of the test in its clone failed, too", clones.longreprtext))
    return told


def of_refusal(item: pytest.Item, error: OSError) -> pytest.TestReport:
    """The report of a setup in which the kernel made no clone."""
    call = CallInfo.from_call(lambda: _fail(f"no clone was made: {error}"), "setup")
    return _made(item, call)


def _of_clone(running: RunningTest, ended: Ended) -> list[pytest.TestReport]:
    """What it has reported itself, and how it died."""
    written = [record["report"] for record in ended.records if "report" in record]
    reports = [_read(running.item, report) for report in written]
    if ended.death:
        reports.append(_of_death(running, ended, reports))
    if ended.excess:
        _fail_for(ended.excess, reports)
    return reports


def _read(item: pytest.Item, data: dict[str, Any]) -> pytest.TestReport:
    report: pytest.TestReport = item.config.hook.pytest_report_from_serializable(
        config=item.config, data=data
    )
    context = data.get("_subtest.context")
    if context is not None and hasattr(report, "context"):
        # pytest takes the text of each value, and reads it as a value again: 1, then '1'.
        report.context.kwargs.update(context["kwargs"])
    return report


def _own(reports: list[pytest.TestReport]) -> list[pytest.TestReport]:
    """Those of the test itself, none of a subtest."""
    return [report for report in reports if type(report) is pytest.TestReport]


def _count_subtest(item: pytest.Item, report: pytest.TestReport) -> None:
    """As pytest 9 does where a subtest fails, so that its test fails, too; unittest's fails by itself."""
    is_of_subtest = type(report) is not pytest.TestReport and not isinstance(item, TestCaseFunction)
    if not (is_of_subtest and report.failed):
        return
    subtests: Any = sys.modules.get("_pytest.subtests")
    if subtests is not None:
        item.config.stash[subtests.failed_subtests_key][getattr(report, "id", report.nodeid)] += 1


def _of_death(
    running: RunningTest, ended: Ended, before: list[pytest.TestReport]
) -> pytest.TestReport:
    """The report of the phase in which the clone died, made as pytest makes that of a failure."""
    item, when = running.item, _phase_after(before)
    stack = ended.stack and f"\n\n{ended.stack}"
    text = f"{ended.death} in its {when}{ended.killed}{stack}"
    call = CallInfo.from_call(lambda: _fail(text), when)
    call.start = before[-1].stop if before else running.begun
    call.stop = time.time()
    call.duration = max(0.0, call.stop - call.start)
    for name, content in ended.output:
        item.add_report_section(when, name, content)
    if before:
        item.user_properties[:] = before[-1].user_properties
    report = _made(item, call)
    if before:
        known = set(report.sections)
        report.sections[:0] = [one for one in before[-1].sections if one not in known]
    return report


def _fail_for(excess: str, reports: list[pytest.TestReport]) -> None:
    """Have the report of the call say so; one that tells of something else has it as a section."""
    for report in _own(reports):
        if report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
            report.outcome, report.longrepr = "failed", excess
        elif report.when == "call" or report.failed:
            report.sections.append(("Memory", excess))


def _made(item: pytest.Item, call: CallInfo[Any]) -> pytest.TestReport:
    report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    return report


def _phase_after(reports: list[pytest.TestReport]) -> Phase:
    own = _own(reports)
    if not own:
        return "setup"
    return "call" if own[-1].when == "setup" and own[-1].passed else "teardown"


def _fail(text: str) -> NoReturn:
    pytest.fail(text, pytrace=False)


def _stop_session(session: pytest.Session, record: Record) -> None:
    """As the test, or a hook in its clone, wants it."""
    match record:
        case {"end": [fail, stop, _]}:
            session.shouldfail = fail or session.shouldfail
            session.shouldstop = stop or session.shouldstop
        case {"exit": [message, code]}:
            raise pytest.exit.Exception(message, code)
        case {"interrupt": place}:
            raise KeyboardInterrupt(place)
        case {"error": traceback}:
            raise RuntimeError(f"an error in the clone, outside of the test:\n{traceback}")
