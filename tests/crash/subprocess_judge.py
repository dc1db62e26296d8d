"""Runs CPython's own tests of programs against Ramet: `subprocess_judge FOLDER subprocess|asyncio`."""

import importlib
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

import ramet
from ramet._program import run as running

from .judging import write_report

NAMES = (
    "Popen",
    "call",
    "check_call",
    "check_output",
    "getoutput",
    "getstatusoutput",
    "run",
)


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
    for name in NAMES:
        setattr(subprocess, name, getattr(ramet, name))
    load = {"subprocess": load_subprocess, "asyncio": load_asyncio}[whose]
    write_report(load(), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
