import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .judging import Outcomes, compare, exceptions, has_module, judged

EXCEPTIONS = Path(__file__).with_name("executor_exceptions.txt")

# Fewer would mean that they were not found, whatever their outcome.
FEWEST_TESTS = 35

# Half a minute on an idle machine: they have a Manager for each test, and many sleep. In parts at once they
# sleep at once.
PARTS = 3
SECONDS = 300  # of which a free processor needs one fifth


@pytest.mark.skipif(
    not has_module("test.test_concurrent_futures"),
    reason="this Python has no test.test_concurrent_futures",
)
@pytest.mark.skipif(
    sys.version_info >= (3, 14),
    reason="what 3.14's tests demand of private parts is not listed; some wait for ever without them",
)
@pytest.mark.timeout(SECONDS + 10)
def test_the_interpreters_own_tests_of_executors(tmp_path: Path) -> None:
    """What CPython demands of an executor with processes holds for Ramet's, but for the exceptions."""

    def outcomes_of(part: int) -> Outcomes:
        folder = tmp_path / str(part)
        folder.mkdir()
        return judged("tests.crash.executor_judge", folder, str(part), str(PARTS), seconds=SECONDS)

    with ThreadPoolExecutor() as at_once:
        outcomes = {
            name: outcome
            for of_one in at_once.map(outcomes_of, range(PARTS))
            for name, outcome in of_one.items()
        }
    compare(outcomes, exceptions(EXCEPTIONS), FEWEST_TESTS)
