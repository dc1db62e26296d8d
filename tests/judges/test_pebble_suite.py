import importlib.util
from pathlib import Path

import pytest

from tests.crash.judging import TREE, compare, exceptions, judged

EXCEPTIONS = Path(__file__).with_name("pebble_exceptions.txt")

# `make test-long` unpacks pebble's source there, of the version that it installs.
SOURCES = sorted((TREE / "build").glob("pebble-*/test"))
OF = ("process_pool", "concurrent_process", "asynchronous_process")
FEWEST_TESTS = 85
SECONDS = 240


@pytest.mark.skipif(
    not SOURCES or importlib.util.find_spec("pebble") is None, reason="pebble's tests are not here"
)
@pytest.mark.timeout(SECONDS + 30)
def test_pebbles_own_tests(tmp_path: Path) -> None:
    """What pebble demands of its pool and its decorators holds where Ramet's executor runs their calls."""
    outcomes: dict[str, tuple[str, str]] = {}
    for of in OF:
        module = f"test_{of}_forkserver"
        outcomes |= judged(
            "tests.judges.pebble_judge", tmp_path, str(SOURCES[-1]), module, seconds=SECONDS
        )
    compare(outcomes, exceptions(EXCEPTIONS), FEWEST_TESTS)
