"""The move of a process to a child of its cgroup, in a real hierarchy of version 2."""

import os
import signal
from pathlib import Path

import pytest

from ramet._kernel.cgroups import CgroupPlace, find
from ramet._limits import cgroup_names, memory_place
from ramet._limits.memory_place import find_place

from ...copies import forked
from ...waiting import exit_code

pytestmark = pytest.mark.kernel


def _own_cgroup() -> CgroupPlace | None:
    """Where this process is in version 2, whichever version limits memory here."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    (membership,) = [line for line in lines if line.startswith("0::")]
    return find(membership, Path("/proc/self/mountinfo").read_text())


def _pretend(monkeypatch: pytest.MonkeyPatch, *enables: bool) -> None:
    """The controller may be elsewhere: it is switched on only in appearance."""
    answers = iter(enables)
    words = memory_place.words_of
    monkeypatch.setattr(memory_place, "of_this_process", _own_cgroup)
    monkeypatch.setattr(memory_place, "_enable", lambda *_: next(answers))
    monkeypatch.setattr(
        memory_place,
        "words_of",
        lambda file: ["memory"] if file.name == "cgroup.controllers" else words(file),
    )


def _enter(cgroup: Path) -> None:
    (cgroup / "cgroup.procs").write_text("0")


def _delegate(cgroup: Path) -> None:
    os.setxattr(cgroup, "user.delegate", b"1")


@pytest.mark.usefixtures("nothing_left", "root")
def test_a_process_moves_to_a_child_of_its_cgroup(
    cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is alone there, and the cgroup was delegated to it."""

    def work() -> None:
        _enter(cgroup)
        _delegate(cgroup)
        _pretend(monkeypatch, False, True)
        assert find_place() == CgroupPlace(2, str(cgroup))
        moved = _own_cgroup()
        assert moved is not None
        assert Path(moved.path).parent == cgroup
        assert cgroup_names.is_of(Path(moved.path).name, "caller")
        assert (cgroup / "cgroup.procs").read_text() == ""

    assert exit_code(forked(work)) == 0
    cgroup_names.remove_left(str(cgroup))
    assert [each for each in cgroup.iterdir() if each.is_dir()] == []


@pytest.mark.usefixtures("nothing_left", "root")
def test_a_process_moves_back(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller cannot be switched on all the same."""

    def work() -> None:
        _enter(cgroup)
        _delegate(cgroup)
        _pretend(monkeypatch, False, False)
        assert find_place() is None
        assert _own_cgroup() == CgroupPlace(2, str(cgroup))
        assert [each for each in cgroup.iterdir() if each.is_dir()] == []

    assert exit_code(forked(work)) == 0


@pytest.mark.usefixtures("nothing_left", "root")
@pytest.mark.parametrize("is_alone", [True, False])
def test_a_process_stays(cgroup: Path, monkeypatch: pytest.MonkeyPatch, is_alone: bool) -> None:
    """Another process is in its cgroup, or nothing says that the cgroup was delegated."""

    def work() -> None:
        _enter(cgroup)
        _pretend(monkeypatch, False, True)
        if is_alone:
            assert find_place() is None
        else:
            _delegate(cgroup)
            other = forked(signal.pause)
            assert find_place() is None
            os.kill(other, signal.SIGKILL)
            assert exit_code(other) == -signal.SIGKILL
        assert _own_cgroup() == CgroupPlace(2, str(cgroup))

    assert exit_code(forked(work)) == 0
