from pathlib import Path

import pytest

from .judging import compare, exceptions, has_module, judged

EXCEPTIONS = Path(__file__).with_name("subprocess_exceptions.txt")

# Fewer would mean that they were not found, whatever their outcome.
FEWEST_TESTS = 250
FEWEST_OF_ASYNCIO = 25

needs_suite = pytest.mark.skipif(
    not has_module("test.test_subprocess"), reason="this Python has no test.test_subprocess"
)


@needs_suite
def test_the_interpreters_own_tests_of_subprocess(tmp_path: Path) -> None:
    """What CPython demands of subprocess holds for Ramet, but for the exceptions, which all fail."""
    outcomes = judged("tests.crash.subprocess_judge", tmp_path, "subprocess")
    compare(outcomes, exceptions(EXCEPTIONS), FEWEST_TESTS)


@needs_suite
def test_the_interpreters_own_tests_of_asyncios_programs(tmp_path: Path) -> None:
    """What CPython demands of a program under asyncio holds where subprocess is Ramet's."""
    compare(judged("tests.crash.subprocess_judge", tmp_path, "asyncio"), [], FEWEST_OF_ASYNCIO)
