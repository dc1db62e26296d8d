"""Names of cgroups, and what a killed process has left."""

import os
from pathlib import Path

import pytest

from ramet._kernel import procfs
from ramet._limits import cgroup_names

OWN = os.getpid()
NAMESPACE = os.stat("/proc/self/ns/pid").st_ino
STARTED = procfs.start_time(OWN)


def test_no_two_are_equal() -> None:
    """Each says which process made it, and what for."""
    first, second = cgroup_names.new("call"), cgroup_names.new("call")
    assert first != second
    assert first.startswith(f"ramet-{NAMESPACE}-{OWN}-{STARTED}-")
    assert cgroup_names.is_of(first, "call")
    assert not cgroup_names.is_of(first, "caller")
    assert not cgroup_names.is_of("ramet-call", "call")


@pytest.mark.parametrize(
    "name",
    [
        f"ramet-{NAMESPACE}-4194305-1-0-call",  # above the highest pid
        f"ramet-{NAMESPACE}-{OWN}-1-0-call",  # an earlier process of that pid
        f"ramet-{NAMESPACE}-4194305-1-7-caller",
    ],
)
def test_what_a_dead_process_left_is_removed(tmp_path: Path, name: str) -> None:
    """With what lies below it."""
    (tmp_path / name / "below" / "it").mkdir(parents=True)
    cgroup_names.remove_left(str(tmp_path))
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    "name",
    [
        f"ramet-{NAMESPACE}-{OWN}-{STARTED}-0-call",
        f"ramet-{NAMESPACE - 1}-4194305-1-0-call",  # perhaps there is such a process there
        "ramet-4194305-1-0-call",
        f"x-ramet-{NAMESPACE}-4194305-1-0-call",
        "user.slice",
    ],
)
def test_what_is_of_others_stays(tmp_path: Path, name: str) -> None:
    """It may be in use, or it is not the library's."""
    (tmp_path / name).mkdir()
    cgroup_names.remove_left(str(tmp_path))
    assert (tmp_path / name).is_dir()


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    """Nothing is to be done."""
    cgroup_names.remove_left(str(tmp_path / "gone"))
    assert cgroup_names.remove(tmp_path / "gone")


def test_one_that_cannot_be_removed(tmp_path: Path) -> None:
    """As one in which there is a process, here a file: that is told, and no error."""
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    assert not cgroup_names.remove(tmp_path / "used")
