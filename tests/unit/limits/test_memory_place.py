"""Where cgroups of version 2 can be made, on directories that look like them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ramet._kernel.cgroups import CgroupPlace
from ramet._limits import memory_place
from ramet._limits.memory_place import find_place

Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Make the directory of this process's cgroup with those files."""

    def make(name: str = "own", **files: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file, text in files.items():
            (folder / f"cgroup.{file}").write_text(text)
        own = CgroupPlace(2, str(folder))
        monkeypatch.setattr(memory_place, "of_this_process", lambda: own)
        return folder

    return make


def test_one_that_limits_its_children_already(made: Made) -> None:
    """So it is in the root cgroup."""
    folder = made(subtree_control="cpu memory pids")
    assert find_place() == CgroupPlace(2, str(folder))


def test_one_that_can_be_told_to(made: Made) -> None:
    """The controller is switched on for the children."""
    folder = made(controllers="cpu memory", subtree_control="", type="domain")
    assert find_place() == CgroupPlace(2, str(folder))
    assert (folder / "cgroup.subtree_control").read_text() == "+memory"


@pytest.mark.parametrize(
    "files",
    [
        {"controllers": "cpu pids", "subtree_control": ""},
        {"controllers": "memory", "subtree_control": "cpu", "type": "domain threaded"},
        {"controllers": "memory", "subtree_control": "", "type": "threaded"},
        {},
    ],
)
def test_one_without_the_controller(made: Made, files: dict[str, str]) -> None:
    """There is no place, and nothing was changed."""
    folder = made(**files)
    before = {file: file.read_text() for file in folder.iterdir()}
    assert find_place() is None
    assert {file: file.read_text() for file in folder.iterdir()} == before


def test_where_there_is_no_hierarchy(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no place."""
    monkeypatch.setattr(memory_place, "of_this_process", lambda: None)
    assert find_place() is None


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Refuse to switch the controller on at first, as where there are processes, and then as said."""

    def refuse(then: bool) -> None:
        answers = iter((False, then))
        monkeypatch.setattr(memory_place, "_enable", lambda *_: next(answers))
        monkeypatch.setattr(memory_place, "_is_delegated", lambda _: True)

    return refuse


def _own_cgroup(made: Made, processes: str) -> Path:
    return made(controllers="memory", subtree_control="", type="domain", procs=processes)


def _leaves(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_dir()]


def test_a_process_that_is_alone_moves_to_a_child(
    made: Made, busy: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then its cgroup has no process of its own, and the place is the same for what it starts later."""
    folder = _own_cgroup(made, str(os.getpid()))
    busy(True)
    assert find_place() == CgroupPlace(2, str(folder))
    (leaf,) = _leaves(folder)
    assert (leaf / "cgroup.procs").read_text() == "0"
    (folder / "cgroup.subtree_control").write_text("memory")
    monkeypatch.setattr(memory_place, "of_this_process", lambda: CgroupPlace(2, str(leaf)))
    assert find_place() == CgroupPlace(2, str(folder))


def test_it_moves_back_where_that_was_of_no_use(made: Made, busy: Callable[[bool], None]) -> None:
    """Another process has come into the cgroup meanwhile."""
    folder = _own_cgroup(made, str(os.getpid()))
    busy(False)
    assert find_place() is None
    assert (folder / "cgroup.procs").read_text() == "0"


@pytest.mark.parametrize("others", ["1\n{own}", "", "1"])
def test_a_process_that_is_not_alone_stays(
    made: Made, busy: Callable[[bool], None], others: str
) -> None:
    """Nothing is moved that is not the caller's."""
    processes = others.format(own=os.getpid())
    folder = _own_cgroup(made, processes)
    busy(True)
    assert find_place() is None
    assert not _leaves(folder)
    assert (folder / "cgroup.procs").read_text() == processes
