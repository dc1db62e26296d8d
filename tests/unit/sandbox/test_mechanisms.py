"""By what each amount is met, in words."""

import pytest

from ramet._sandbox.amounts import mechanisms
from ramet._sandbox.amounts.mechanism import Mechanism
from ramet._sandbox.description import Sandbox

ALL = Sandbox(
    memory="64M",
    swap=0,
    processes=8,
    cpu_time=2,
    cpus=0.5,
    open_files=16,
    file_size="1M",
    output="1M",
    timeout=5,
)
WITHOUT: dict[str, int] = {}
VERSION_2 = {"memory": 2, "pids": 2, "cpu": 2, "": 2, "swap": 2}


def of(versions: dict[str, int]) -> dict[str, Mechanism]:
    """Each by its wish."""
    return {one.wish: one for one in mechanisms.of(ALL, versions)}


def test_only_what_is_wished() -> None:
    """A Sandbox without amounts needs nothing for them."""
    assert mechanisms.of(Sandbox(), VERSION_2) == []
    found = mechanisms.of(Sandbox(timeout=1, memory="1M"), VERSION_2)
    assert [one.wish for one in found] == ["memory", "timeout"]


def test_in_the_order_of_the_fields() -> None:
    """All nine."""
    fields = "memory swap processes cpu_time cpus open_files file_size output timeout"
    assert list(of(WITHOUT)) == fields.split()


def test_with_cgroups_nothing_falls_short() -> None:
    """Those of version 2 do all that can be wished."""
    assert [one for one in of(VERSION_2).values() if one.shortfall or one.remedy] == []
    assert of(VERSION_2)["memory"].mechanism == "a cgroup of version 2 with the controller memory"
    assert of(VERSION_2 | {"pids": 1})["processes"].mechanism == (
        "a cgroup of version 1 with the controller pids"
    )


@pytest.mark.parametrize(
    ("wish", "mechanism", "shortfall", "controller"),
    [
        ("memory", "RLIMIT_DATA", "tmpfs", "memory"),
        ("processes", "RLIMIT_NPROC", "the same user", "pids"),
        ("cpu_time", "RLIMIT_CPU", "ignores SIGCHLD", "cpu"),
        ("cpus", "sched_setaffinity", "a whole number", "cpu"),
        ("swap", "", "not limited", "memory"),
    ],
)
def test_without_cgroups(wish: str, mechanism: str, shortfall: str, controller: str) -> None:
    """Each says by what it is met instead, what that lacks, and what would help."""
    found = of(WITHOUT)[wish]
    assert mechanism in found.mechanism
    assert bool(found.mechanism) == bool(mechanism)
    assert shortfall in found.shortfall
    assert f"a cgroup with the controller {controller} " in found.remedy
    assert "Delegate=yes" in found.remedy


@pytest.mark.parametrize("wish", ["open_files", "file_size", "output", "timeout"])
def test_what_needs_no_cgroup(wish: str) -> None:
    """It is met in full everywhere."""
    found = of(WITHOUT)[wish]
    assert found.mechanism
    assert (found.shortfall, found.remedy) == ("", "")


def test_a_kernel_that_does_not_count_swap() -> None:
    """Memory can be used beyond the limit there."""
    found = of({"memory": 1})
    assert found["memory"].mechanism == "a cgroup of version 1 with the controller memory"
    assert found["swap"].mechanism == ""
    for wish in ("memory", "swap"):
        assert "swapped out does not count" in found[wish].shortfall
        assert "swapaccount=1" in found[wish].remedy


def test_processor_time_in_version_1() -> None:
    """The controller that counts it is enough."""
    assert of({"cpuacct": 1})["cpu_time"].shortfall == ""
    assert "version 1" in of({"cpuacct": 1})["cpu_time"].mechanism


def test_so_small_a_part_cannot_be_kept() -> None:
    """The kernel's quota is a millisecond of a second at least."""
    (found,) = mechanisms.of(Sandbox(cpus=0.0005), VERSION_2)
    assert "0.001" in found.shortfall


def test_why_systemd_made_none_is_told() -> None:
    """With the remedy of what a cgroup would help, and with nothing else."""
    found = mechanisms.of(ALL, WITHOUT, "systemd does not run here")
    told = {one.wish for one in found if one.remedy.endswith("; systemd does not run here")}
    assert told == {"memory", "swap", "processes", "cpu_time", "cpus"}
