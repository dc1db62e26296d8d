from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .judging import Outcomes, compare, exceptions, has_module, judged

EXCEPTIONS = Path(__file__).with_name("multiprocessing_exceptions.txt")

# Of processes, of managers, and of what is of no kind; those of threads start no process.
KINDS = ("Processes", "Manager", "Test")

# Fewer would mean that they were not found, whatever their outcome.
FEWEST_TESTS = 230


@pytest.mark.skipif(
    not has_module("test._test_multiprocessing"),
    reason="this Python has no test._test_multiprocessing",
)
def test_the_interpreters_own_tests_of_multiprocessing(tmp_path: Path) -> None:
    """What CPython demands of a start method holds for the context, but for the exceptions, which fail."""

    def outcomes_of(kind: str) -> Outcomes:
        folder = tmp_path / kind
        folder.mkdir()
        return judged("tests.crash.multiprocessing_judge", folder, kind)

    with ThreadPoolExecutor() as at_once:
        outcomes = {
            name: outcome
            for of_one in at_once.map(outcomes_of, KINDS)
            for name, outcome in of_one.items()
        }
    compare(outcomes, exceptions(EXCEPTIONS), FEWEST_TESTS)
