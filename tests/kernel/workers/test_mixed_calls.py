from pathlib import Path

import ramet
from tests.conftest import LeakCheck
from tests.constants import repeated
from tests.mixed_calls import DEADLINE_SECONDS, MEMORY, nobody_holds, run_mixed

# tests/soak makes a thousand.
CALLS = 40
EVEN_CALLS = repeated(500)


def test_each_call_is_told_its_own_end(nothing_left: LeakCheck, tmp_path: Path) -> None:
    """Whatever becomes of a call, its future says that and no other, and none of its processes is left."""
    with (
        nobody_holds(tmp_path) as fifo,
        ramet.Executor(max_workers=4, timeout=DEADLINE_SECONDS, memory=MEMORY) as executor,
    ):
        assert run_mixed(executor, CALLS, fifo) == []


def test_many_calls_leave_nothing(nothing_left: LeakCheck) -> None:
    """A process for each of some hundred calls: no descriptor, child, thread or mapping is left of them."""
    with ramet.Executor(max_workers=2, preload=["json"]) as executor:
        assert sum(executor.map(int, range(EVEN_CALLS))) == sum(range(EVEN_CALLS))
