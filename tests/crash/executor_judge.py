"""Runs CPython's own tests of executors with processes against Ramet's: `executor_judge FOLDER PART PARTS`.

Each is there once for each start method, which Ramet's executor has none of: one kind is enough.
"""

import importlib
import multiprocessing.util
import signal
import sys
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ramet._workers.executor.interpreter_end

from .executor_in_place import take_its_place
from .judging import TREE, those_of, write_report

SUITE = "test.test_concurrent_futures"
KIND = "ProcessPoolSpawn"
LONGEST_SECONDS = 30  # of a test
PRELUDE = f"""\
import sys
sys.path.insert(0, {str(TREE)!r})
from tests.crash.executor_in_place import take_its_place
take_its_place()
"""


def in_scripts_too(asserted: Any) -> Any:
    """As test.support's assert_python_ok, for programs that shall find Ramet's executor."""

    def wrapped(*words: str, **how: Any) -> Any:
        at = words.index("-c") + 1
        return asserted(*words[:at], PRELUDE + words[at], *words[at + 1 :], **how)

    return wrapped


def part_of(tests: unittest.TestSuite, part: int, parts: int) -> unittest.TestSuite:
    """Those of every so manyth class, from that one on."""
    names: list[str] = []
    chosen = unittest.TestSuite()
    for test in leaves(tests):
        name = type(test).__name__
        if name not in names:
            names.append(name)
        if names.index(name) % parts == part:
            chosen.addTest(test)
    return chosen


def leaves(tests: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The tests themselves, in order."""
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from leaves(test)
        else:
            yield test


def kill_calls_that_last(run: Callable[..., Any]) -> Callable[..., Any]:
    """What a test has left to run when it failed may wait for ever, and the test's end for that."""

    def within_time(*given: Any) -> Any:
        signal.alarm(LONGEST_SECONDS)
        try:
            return run(*given)
        finally:
            signal.alarm(0)

    return within_time


def kill_calls(*_: object) -> None:
    """Those of all executors."""
    for pool in list(ramet._workers.executor.interpreter_end.pools):
        pool.signal(signal.SIGKILL)


def main(folder: str, part: str, parts: str) -> None:
    """Put Ramet's executor in its place before the tests are loaded, and judge."""
    script_helper: Any = importlib.import_module("test.support.script_helper")
    script_helper.assert_python_ok = in_scripts_too(script_helper.assert_python_ok)
    take_its_place()
    signal.signal(signal.SIGALRM, kill_calls)
    unittest.TestCase.run = kill_calls_that_last(unittest.TestCase.run)  # type: ignore[method-assign]
    # It waits for the end of all processes of multiprocessing; a test that fails may keep some.
    multiprocessing.util._cleanup_tests = lambda: None  # type: ignore[attr-defined]
    found = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(SUITE))
    write_report(part_of(those_of(found, KIND), int(part), int(parts)), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
