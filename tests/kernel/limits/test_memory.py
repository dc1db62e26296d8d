"""Budgets of memory in cgroups, each for one call at a time."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramet._limits.memory import CgroupBudget, MemoryBudget, MemoryLimits

from ...constants import SECONDS
from ...copies import forked
from ...kernels import PEAKS_ARE_COUNTED
from ...waiting import exit_code

pytestmark = pytest.mark.kernel

MEGABYTE = 1 << 20
BUDGET = 64 * MEGABYTE
LITTLE, MUCH = 20 * MEGABYTE, 200 * MEGABYTE


@pytest.fixture
def limits() -> Iterator[MemoryLimits]:
    """Budgets of 64 MB, whose cgroups are gone in the end."""
    with MemoryLimits(BUDGET) as made:
        if made.version is None:
            pytest.skip("needs a cgroup below which others can be made that limit memory")
        assert made._place is not None
        yield made
    left = [
        each.name for each in Path(made._place.path).iterdir() if f"-{os.getpid()}-" in each.name
    ]
    assert left == []


def _touch(size: int) -> None:
    held = bytearray(size)
    for place in range(0, size, 4096):
        held[place] = 1


def _grandchild_touches(size: int) -> None:
    if (pid := os.fork()) == 0:
        _touch(size)
        os._exit(0)
    os.waitpid(pid, 0)


def _start(budget: MemoryBudget, work: Callable[[], object]) -> int:
    """A call in a process of its own, which puts itself into the cgroup."""
    entry = budget.entry
    assert entry is not None

    def enter_and_work() -> None:
        os.write(entry, b"0")
        work()

    return forked(enter_and_work)


def _call(budget: MemoryBudget, work: Callable[[], object]) -> int:
    return exit_code(_start(budget, work))


@pytest.mark.usefixtures("nothing_left")
def test_a_call_within_its_budget(limits: MemoryLimits) -> None:
    """It ends as it would have, and its peak tells what it used."""
    budget = limits.take()
    assert _call(budget, lambda: _touch(LITTLE)) == 0
    assert not budget.has_killed()
    if PEAKS_ARE_COUNTED:
        assert budget.peak is not None
        assert LITTLE <= budget.peak < BUDGET
    assert budget.watch(os.getpid()) is None, "the kernel keeps the limit"
    limits.give_back(budget)


@pytest.mark.usefixtures("nothing_left")
def test_a_call_beyond_it_is_killed(limits: MemoryLimits) -> None:
    """The kernel kills it and says so, and the next call in that cgroup knows nothing of it."""
    budget = limits.take()
    assert _call(budget, lambda: _touch(MUCH)) == -signal.SIGKILL
    assert budget.has_killed()
    limits.give_back(budget)
    again = limits.take()
    assert again is budget
    assert not again.has_killed()
    assert _call(again, lambda: _touch(LITTLE)) == 0
    assert not again.has_killed()
    if PEAKS_ARE_COUNTED:
        assert again.peak is not None
        assert again.peak < BUDGET
    limits.give_back(again)


@pytest.mark.usefixtures("nothing_left")
def test_a_grandchild_beyond_it_is_told_too(limits: MemoryLimits) -> None:
    """The kernel may choose the grandchild alone."""
    budget = limits.take()
    assert _call(budget, lambda: _grandchild_touches(MUCH)) == 0
    assert budget.has_killed()
    limits.give_back(budget)


@pytest.mark.usefixtures("nothing_left")
def test_a_kill_by_another_is_none_for_want_of_memory(limits: MemoryLimits) -> None:
    """SIGKILL alone says nothing."""
    budget = limits.take()
    assert _call(budget, lambda: os.kill(os.getpid(), signal.SIGKILL)) == -signal.SIGKILL
    assert not budget.has_killed()
    limits.give_back(budget)


@pytest.mark.usefixtures("nothing_left")
def test_what_a_killed_call_left_in_a_tmpfs_is_not_charged_to_the_next(
    limits: MemoryLimits,
) -> None:
    """Its file stays, and the next call has its whole budget."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        budget = limits.take()

        def write() -> None:
            with open(f"{folder}/file", "wb") as file:
                file.writelines(bytes(MEGABYTE) for _ in range(MUCH // MEGABYTE))

        assert _call(budget, write) == -signal.SIGKILL
        limits.give_back(budget)
        again = limits.take()
        assert _call(again, lambda: _touch(BUDGET - 2 * LITTLE)) == 0
        assert not again.has_killed()
        limits.give_back(again)


@pytest.mark.usefixtures("nothing_left")
def test_memory_from_before_is_not_counted(limits: MemoryLimits) -> None:
    """What the process had before it went in stays charged where it was: that is the template's."""
    held = bytearray(b"x" * (2 * BUDGET))
    budget = limits.take()
    assert _call(budget, lambda: sum(held[::4096])) == 0
    assert not budget.has_killed()
    assert _call(
        budget, lambda: held.__setitem__(slice(0, MUCH, 4096), b"y" * (2 * BUDGET // 4096))
    )
    assert budget.has_killed(), "what it copies is its own"
    limits.give_back(budget)


@pytest.mark.usefixtures("nothing_left")
def test_cgroups_are_made_ahead_and_used_again(limits: MemoryLimits) -> None:
    """So many as are prepared, each by one call at a time."""
    limits.prepare(3)
    taken = [limits.take() for _ in range(4)]
    assert len({id(budget) for budget in taken}) == 4
    for budget in taken:
        limits.give_back(budget)
    assert {id(limits.take()) for _ in range(4)} == {id(budget) for budget in taken}
    for budget in taken:
        limits.give_back(budget)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("calls_before", [0, 1])
def test_one_in_which_a_process_still_is_is_not_used_again(
    limits: MemoryLimits, calls_before: int
) -> None:
    """It is removed when the process has left it; also where another call had it just before."""
    for _ in range(calls_before):
        limits.give_back(limits.take())
    budget = limits.take()
    assert isinstance(budget, CgroupBudget)
    pid = _start(budget, signal.pause)
    while not (budget.path / "cgroup.procs").read_text():
        os.sched_yield()
    limits.give_back(budget)
    other = limits.take()
    assert other is not budget
    limits.give_back(other)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    assert exit_code(pid) == -signal.SIGKILL
    limits.close()
    assert not budget.path.exists()


@pytest.mark.usefixtures("nothing_left")
def test_one_that_somebody_has_removed_is_not_used_again(limits: MemoryLimits) -> None:
    """Whoever may write to the place can do so while no process is in it; the next call has another."""
    budget = limits.take()
    assert isinstance(budget, CgroupBudget)
    assert _call(budget, lambda: _touch(LITTLE)) == 0
    limits.give_back(budget)
    budget.path.rmdir()
    other = limits.take()
    assert isinstance(other, CgroupBudget)
    assert _call(other, lambda: _touch(MUCH)) == -signal.SIGKILL
    other.path.rmdir()
    assert other.peak is None
    limits.give_back(other)


@pytest.mark.usefixtures("nothing_left")
def test_one_in_which_the_call_has_made_others_is_not_used_again(limits: MemoryLimits) -> None:
    """A call may have budgets for calls of its own, and be killed before it has removed them."""
    if limits.version != 1:
        pytest.skip("in cgroup v2 no process can be beside cgroups that limit memory")
    budget = limits.take()
    assert isinstance(budget, CgroupBudget)

    def work() -> None:
        below = MemoryLimits(LITTLE).take()
        assert isinstance(below, CgroupBudget)
        assert below.path.parent == budget.path
        os.kill(os.getpid(), signal.SIGKILL)

    assert _call(budget, work) == -signal.SIGKILL
    limits.give_back(budget)
    assert not budget.path.exists()


@pytest.mark.usefixtures("nothing_left")
def test_one_that_comes_back_late_is_removed(limits: MemoryLimits) -> None:
    """Its limits have been closed meanwhile."""
    budget = limits.take()
    limits.close()
    assert budget.entry is not None
    limits.give_back(budget)
    assert budget.entry is None


@pytest.mark.usefixtures("nothing_left")
def test_one_that_is_dropped_is_removed(limits: MemoryLimits) -> None:
    """A call may fail before anything of it has begun."""
    budget = limits.take()
    assert isinstance(budget, CgroupBudget)
    path = budget.path
    assert path.is_dir()
    del budget
    assert not path.exists()


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_one_that_was_interrupted_as_it_was_made_is_silent() -> None:
    """Its finalizer is told of by nothing, whatever it has by then."""
    CgroupBudget.__new__(CgroupBudget)
    gc.collect()


@pytest.mark.usefixtures("nothing_left")
def test_what_a_killed_process_left_is_removed_by_the_next(limits: MemoryLimits) -> None:
    """Its cgroups are known by their names."""
    assert limits._place is not None
    place = Path(limits._place.path)

    def work() -> None:
        left = MemoryLimits(BUDGET)
        left.prepare(2)
        if [each for each in place.iterdir() if f"-{os.getpid()}-" in each.name]:
            # From here on who makes limits in another run of the tests removes them.
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)

    if (pid := os.fork()) == 0:
        work()
    assert exit_code(pid) == -signal.SIGKILL
    MemoryLimits(BUDGET).close()
    assert not [each for each in place.iterdir() if f"-{pid}-" in each.name]


OCCUPIED_UNTIL_THE_END = """
import os, sys
from ramet._limits.memory import MemoryLimits
limits = MemoryLimits(1 << 26)
budget = limits.take()
(entered, enter), (released, release) = os.pipe(), os.pipe()
if (pid := os.fork()) == 0:
    os.write(budget.entry, b"0")
    os.write(enter, b"x")
    os.read(released, 1)
    os._exit(0)
os.read(entered, 1)
limits.give_back(budget)
limits.close()
print(budget.path, budget.path.exists())
os.write(release, b"x")
os.waitpid(pid, 0)
"""


@pytest.mark.usefixtures("limits", "nothing_left")
def test_one_that_was_occupied_is_removed_at_the_end_of_the_process() -> None:
    """A process that its call has left was still in it as all others were removed."""
    argv = [sys.executable, "-c", OCCUPIED_UNTIL_THE_END]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=True)
    path, was_there = done.stdout.split()
    assert was_there == "True"
    assert not Path(path).exists()


@pytest.mark.usefixtures("nothing_left")
def test_a_copy_of_the_process_leaves_them_alone(limits: MemoryLimits) -> None:
    """What a fork has copied is the parent's."""
    budget = limits.take()
    assert isinstance(budget, CgroupBudget)
    if (pid := os.fork()) == 0:
        limits.give_back(budget)
        limits.close()
        os._exit(0 if budget.path.is_dir() and limits.take().entry is None else 1)
    assert exit_code(pid) == 0
    assert budget.path.is_dir()
    limits.give_back(budget)


@pytest.mark.usefixtures("nothing_left")
def test_a_copy_of_the_process_shares_none_that_is_idle(limits: MemoryLimits) -> None:
    """Its calls and its original's would have one budget together."""
    limits.prepare(2)
    if (pid := os.fork()) == 0:
        os._exit(0 if limits.take().entry is None else 1)
    assert exit_code(pid) == 0
