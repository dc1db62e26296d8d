"""What test_mixed_calls.py does with a few calls, with as many as RAMET_SOAK says: `make test-long`."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ramet
from tests.conftest import Holdings, LeakCheck
from tests.mixed_calls import DEADLINE_SECONDS, MEMORY, nobody_holds, run_mixed

CALLS = int(os.environ.get("RAMET_SOAK", "100000"))
AT_ONCE = 1000
EXAMPLES = Path(__file__).parents[2] / "examples"
KILOBYTES_FOR_ALL = 4096  # what the allocator may keep; a hundred bytes lost for each call are more

pytestmark = pytest.mark.timeout(3600)


def resident_kilobytes() -> int:
    gc.collect()
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line
    )
    return int(line.split()[1])


def test_calls_leave_nothing(nothing_left: LeakCheck) -> None:
    """A hundred thousand processes come and go: nothing is left of them, and no memory was lost."""
    with ramet.Executor(max_workers=2, preload=["numpy"]) as executor:
        for _ in executor.map(int, range(AT_ONCE)):
            pass
        held, before = Holdings.now(), resident_kilobytes()
        for _ in range(CALLS // AT_ONCE):
            assert sum(executor.map(int, range(AT_ONCE))) == sum(range(AT_ONCE))
        grown = resident_kilobytes() - before
        assert len(Holdings.now().descriptors) <= len(held.descriptors) + 8
    assert grown < KILOBYTES_FOR_ALL


def test_a_thousand_bad_calls(nothing_left: LeakCheck, tmp_path: Path) -> None:
    """Of a thousand calls each fifth ends badly in its own way; each future says how, nothing is left."""
    with (
        nobody_holds(tmp_path) as fifo,
        ramet.Executor(max_workers=8, timeout=DEADLINE_SECONDS, memory=MEMORY) as executor,
    ):
        assert run_mixed(executor, CALLS // 100, fifo) == []


def test_a_thousand_programs_are_scored(nothing_left: LeakCheck) -> None:
    """The example, with as many programs as it says: a third of them hang, each for its second."""
    argv = [sys.executable, str(EXAMPLES / "a_scorer_of_programs.py"), "1000", "1"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    told = "166 dies\n333 hangs\n167 scores 0.2\n334 scores 1.0\n"
    assert (done.stdout, done.stderr, done.returncode) == (told, "", 0)
