"""Budgets of memory: without a cgroup, and in directories that look like a cgroup of version 2."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramet._kernel.cgroups import CgroupPlace
from ramet._limits import cgroup_names, memory
from ramet._limits.memory import CgroupBudget, MemoryLimits

BUDGET = 64 << 20

# What is in a new cgroup of version 2.
NEW = {
    "cgroup.procs": "",
    "cgroup.kill": "",
    "cgroup.subtree_control": "",
    "memory.max": "max\n",
    "memory.swap.max": "max\n",
    "memory.current": "0\n",
    "memory.peak": "0\n",
    "memory.reclaim": "",
    "memory.events": "low 0\noom 7\noom_kill 7\noom_group_kill 0\n",
    "memory.events.local": "low 0\noom 3\noom_kill 3\noom_group_kill 0\n",
}


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that can make no cgroup."""
    monkeypatch.setattr(memory, "find_place", lambda: None)


@pytest.mark.usefixtures("nowhere")
def test_without_a_cgroup() -> None:
    """There are budgets all the same, for a watch."""
    with MemoryLimits(BUDGET) as limits:
        assert limits.version is None
        limits.prepare(3)
        budget = limits.take()
        assert (budget.entry, budget.directory, budget.peak) == (None, None, None)
        assert not budget.has_killed()
        assert not budget.kill()
        watch = budget.watch(os.getpid())
        assert watch is not None
        assert watch.budget_bytes == budget.budget_bytes == BUDGET
        watch.close()
        limits.give_back(budget)


def test_a_directory_that_is_no_cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a cgroup cannot be set up, nothing is left of it, and a watch keeps the limit."""
    monkeypatch.setattr(memory, "find_place", lambda: CgroupPlace(1, str(tmp_path)))
    before = os.listdir("/proc/self/fd")
    with MemoryLimits(BUDGET) as limits:
        assert limits.version is None
        assert limits.take().entry is None
    assert list(tmp_path.iterdir()) == []
    assert os.listdir("/proc/self/fd") == before


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryLimits]:
    """Budgets whose directories have the files of version 2 as soon as they are made."""
    make = Path.mkdir

    def make_with_files(self: Path) -> None:
        make(self)
        for name, text in NEW.items():
            (self / name).write_text(text)

    def remove_with_files(directory: Path) -> bool:
        shutil.rmtree(directory)
        return True

    monkeypatch.setattr(Path, "mkdir", make_with_files)
    monkeypatch.setattr(cgroup_names, "remove", remove_with_files)
    monkeypatch.setattr(memory, "find_place", lambda: CgroupPlace(2, str(tmp_path)))
    before = os.listdir("/proc/self/fd")
    with MemoryLimits(BUDGET) as made:
        assert made.version == 2
        yield made
    assert list(tmp_path.iterdir()) == []
    assert os.listdir("/proc/self/fd") == before


@pytest.fixture
def budget(limits: MemoryLimits) -> Iterator[CgroupBudget]:
    """One of them."""
    taken = limits.take()
    assert isinstance(taken, CgroupBudget)
    yield taken
    if taken not in limits._idle and taken.entry is not None:
        taken.close()


def _says(budget: CgroupBudget, name: str) -> str:
    return (budget.path / name).read_text()


def test_its_limits(budget: CgroupBudget) -> None:
    """Memory is limited to the budget, and nothing may be swapped out."""
    assert _says(budget, "memory.max").startswith(str(BUDGET))
    assert _says(budget, "memory.swap.max").startswith("0")


def test_how_a_process_comes_into_it(budget: CgroupBudget) -> None:
    """By writing itself to cgroup.procs, or with its clone call."""
    assert budget.entry is not None
    assert budget.directory is not None
    assert os.readlink(f"/proc/self/fd/{budget.entry}") == f"{budget.path}/cgroup.procs"
    assert os.readlink(f"/proc/self/fd/{budget.directory}") == str(budget.path)
    assert not os.get_inheritable(budget.entry)
    assert not os.get_inheritable(budget.directory)


def test_kills_for_want_of_memory(budget: CgroupBudget) -> None:
    """Those of this cgroup count, since the budget was taken."""
    assert not budget.has_killed()
    (budget.path / "memory.events").write_text("oom_kill 8\n")
    assert not budget.has_killed()
    (budget.path / "memory.events.local").write_text("low 0\noom 9\noom_kill 4\n")
    assert budget.has_killed()


def test_its_peak(
    limits: MemoryLimits, budget: CgroupBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted anew for each call; a kernel that cannot do that has none."""
    assert _says(budget, "memory.peak") == "reset"
    (budget.path / "memory.peak").write_text("4096\n")
    assert budget.peak == 4096
    limits.give_back(budget)

    def refuse(*_: object) -> int:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", refuse)
        again = limits.take()
    assert again is budget
    assert again.peak is None


def test_a_kill_of_all(budget: CgroupBudget) -> None:
    """By cgroup.kill; false where the kernel has none."""
    assert budget.kill()
    assert _says(budget, "cgroup.kill") == "1"
    (budget.path / "cgroup.kill").unlink()
    assert not budget.kill()


def test_one_that_is_empty_is_used_again(limits: MemoryLimits, budget: CgroupBudget) -> None:
    """What little the kernel charges in advance does not count."""
    (budget.path / "memory.current").write_text(f"{1 << 20}\n")
    limits.give_back(budget)
    assert limits.take() is budget
    assert _says(budget, "memory.reclaim") == ""


def test_the_kernel_is_asked_to_free_the_rest(budget: CgroupBudget) -> None:
    """All of it; one that stays charged is not used again."""
    (budget.path / "memory.current").write_text(f"{3 << 20}\n")
    assert not budget.empty()
    assert _says(budget, "memory.reclaim") == str(3 << 20)


@pytest.mark.parametrize(
    ("name", "text"), [("cgroup.procs", "7\n"), ("cgroup.subtree_control", "memory\n")]
)
def test_one_that_is_not_empty_is_removed(
    limits: MemoryLimits, budget: CgroupBudget, name: str, text: str
) -> None:
    """A process is in it, or it lets none in any more."""
    (budget.path / name).write_text(text)
    limits.give_back(budget)
    assert not budget.path.exists()
    assert budget.entry is None
