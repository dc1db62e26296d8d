"""Runs CPython's own tests against Ramet: `python subprocess_judge.py FOLDER subprocess|asyncio`.

They run in FOLDER, whose file `report` gets a JSON object: for each test its outcome, and what it
said where it did not pass.
"""

import importlib
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

import ramet
from ramet._program import run as running

NAMES = (
    "Popen",
    "call",
    "check_call",
    "check_output",
    "getoutput",
    "getstatusoutput",
    "run",
)


class Record(unittest.TestResult):
    """What became of each test; a test with several outcomes has its worst."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, tuple[str, str]] = {}

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's
        super().stopTest(test)
        self.outcomes.setdefault(_name(test), ("passed", ""))

    def addError(self, test: unittest.TestCase, err: object) -> None:  # noqa: N802
        super().addError(test, err)  # type: ignore[arg-type] # handed on
        self.outcomes[_name(test)] = ("failed", self.errors[-1][1])

    def addFailure(self, test: unittest.TestCase, err: object) -> None:  # noqa: N802
        super().addFailure(test, err)  # type: ignore[arg-type]
        self.outcomes[_name(test)] = ("failed", self.failures[-1][1])

    def addSubTest(  # noqa: N802
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: object
    ) -> None:
        super().addSubTest(test, subtest, err)  # type: ignore[arg-type]
        if err is not None:
            self.outcomes[_name(test)] = ("failed", str(err))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        self.outcomes.setdefault(_name(test), ("skipped", reason))


def _name(test: unittest.TestCase) -> str:
    return test.id().removeprefix("test.test_subprocess.").removeprefix("test.test_asyncio.")


def load_subprocess() -> unittest.TestSuite:
    """The tests of subprocess itself."""
    test_subprocess = importlib.import_module("test.test_subprocess")

    # Some tests put a Popen that records into the module where run() and call() look for it, which
    # they take for subprocess. It is here.
    recording = test_subprocess.MiscTests.RecordingPopen
    keyboard_tests = [
        name for name in dir(test_subprocess.MiscTests) if "keyboardinterrupt" in name
    ]
    for name in keyboard_tests:
        test = getattr(test_subprocess.MiscTests, name)
        setattr(
            test_subprocess.MiscTests, name, mock.patch.object(running, "Popen", recording)(test)
        )
    return unittest.defaultTestLoader.loadTestsFromModule(test_subprocess)


def load_asyncio() -> unittest.TestSuite:
    """Those of asyncio's programs, which are a Popen each; all the ways to watch them are asyncio's own."""
    module = importlib.import_module("test.test_asyncio.test_subprocess")
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    cases = (module.SubprocessPidfdWatcherTests, module.SubprocessTransportTests)
    return unittest.TestSuite(map(load, cases))


def main(folder: str, whose: str) -> None:
    """Put Ramet in subprocess's place before the tests are loaded, and judge."""
    os.chdir(folder)
    for name in NAMES:
        setattr(subprocess, name, getattr(ramet, name))
    record = Record()
    {"subprocess": load_subprocess, "asyncio": load_asyncio}[whose]().run(record)
    Path("report").write_text(json.dumps(record.outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
