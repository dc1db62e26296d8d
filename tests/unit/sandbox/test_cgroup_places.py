"""Below which cgroups those of a sandbox are made, on directories that look like them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ramet._kernel.cgroups import CgroupPlace
from ramet._sandbox.amounts import cgroup_places
from ramet._sandbox.amounts.cgroup_places import find_places, missing_in_version_2

ALL = frozenset({"memory", "pids", "cpu", "cpuacct", ""})

Host = Callable[..., Path]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A machine with these controllers in version 1, and version 2 with these files of ours."""

    def make(version_1: str = "", **files: str) -> Path:
        own = tmp_path / "top" / "own"
        own.mkdir(parents=True)
        for name, text in files.items():
            (own / f"cgroup.{name}").write_text(text)
        for each in version_1.split():
            (tmp_path / each).mkdir()

        def of_this_process(controller: str) -> CgroupPlace | None:
            if controller in version_1.split():
                return CgroupPlace(1, str(tmp_path / controller))
            return CgroupPlace(2, str(own)) if files else None

        monkeypatch.setattr(cgroup_places, "of_this_process", of_this_process)
        return own

    return make


def test_version_2_alone(host: Host) -> None:
    """All that is wished is in one directory; processor time needs no controller there."""
    own = host(controllers="cpuset cpu io memory pids", subtree_control="", type="domain")
    place = CgroupPlace(2, str(own))
    assert find_places(ALL) == {"memory": place, "pids": place, "cpu": place, "": place}
    assert (own / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"


def test_only_what_is_wished_is_switched_on(host: Host) -> None:
    """A controller costs something."""
    own = host(controllers="cpu memory pids", subtree_control="", type="domain")
    assert find_places(frozenset({"pids"})) == {"pids": CgroupPlace(2, str(own))}
    assert (own / "cgroup.subtree_control").read_text() == "+pids"


def test_version_1_alone(host: Host, tmp_path: Path) -> None:
    """Each controller has a hierarchy."""
    host("memory pids")
    assert find_places(ALL) == {
        "memory": CgroupPlace(1, str(tmp_path / "memory")),
        "pids": CgroupPlace(1, str(tmp_path / "pids")),
    }


def test_both(host: Host, tmp_path: Path) -> None:
    """Version 2 without controllers still counts processor time, and kills."""
    own = host("memory", controllers="", subtree_control="", type="domain")
    assert find_places(ALL) == {
        "memory": CgroupPlace(1, str(tmp_path / "memory")),
        "": CgroupPlace(2, str(own)),
    }


def test_a_cgroup_in_which_others_are(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """No controller can be switched on; what needs none can be had."""
    own = host(controllers="memory pids", subtree_control="", type="domain")
    monkeypatch.setattr(cgroup_places, "place_in_version_2", lambda *_: None)
    assert find_places(ALL) == {"": CgroupPlace(2, str(own))}


def test_controllers_that_are_on_already(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """They can be had though the others cannot."""
    own = host(controllers="memory pids", subtree_control="pids", type="domain")
    monkeypatch.setattr(cgroup_places, "place_in_version_2", lambda *_: None)
    place = CgroupPlace(2, str(own))
    assert find_places(ALL) == {"pids": place, "": place}


def test_a_directory_that_may_not_be_written(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a plain user's, mostly."""
    host("memory", controllers="pids", subtree_control="", type="domain")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert find_places(ALL) == {}


def test_no_cgroups_at_all(host: Host) -> None:
    """There is no place."""
    host()
    assert find_places(ALL) == {}
    assert not missing_in_version_2(ALL, {})


def test_what_systemd_could_give(host: Host) -> None:
    """Controllers that the hierarchy has at its top, and this process cannot have."""
    own = host(controllers="", subtree_control="", type="domain")
    place = CgroupPlace(2, str(own))
    (own.parent / "cgroup.controllers").write_text("cpu memory pids")
    assert missing_in_version_2(ALL, {"": place})
    assert not missing_in_version_2(ALL, dict.fromkeys(ALL, place))
    (own.parent / "cgroup.controllers").write_text("hugetlb")
    assert not missing_in_version_2(ALL, {"": place})
