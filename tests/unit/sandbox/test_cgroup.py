"""The cgroup of one child, in directories that look like those of both versions."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramet._kernel.cgroups import CgroupPlace
from ramet._limits import cgroup_names
from ramet._sandbox.amounts.cgroup import CgroupLimits, ChildCgroup

ALL = frozenset({"memory", "pids", "cpu", ""})

# What is in a new cgroup.
VERSION_2 = {
    "cgroup.procs": "",
    "cgroup.kill": "",
    "cgroup.subtree_control": "",
    "cpu.max": "max 100000\n",
    "cpu.stat": "usage_usec 1000\nuser_usec 600\nsystem_usec 400\n",
    "io.stat": "8:0 rbytes=1 wbytes=4096 rios=1 wios=1\n8:16 rbytes=9 wbytes=100 rios=1 wios=1\n",
    "memory.max": "max\n",
    "memory.swap.max": "max\n",
    "memory.current": "0\n",
    "memory.peak": "0\n",
    "memory.reclaim": "",
    "memory.events": "low 0\noom 7\noom_kill 7\noom_group_kill 0\n",
    "pids.max": "max\n",
    "pids.current": "0\n",
    "pids.peak": "3\n",
    "pids.events": "max 2\n",
}
VERSION_1 = {
    "cgroup.procs": "",
    "tasks": "",
    "cpu.cfs_period_us": "100000\n",
    "cpu.cfs_quota_us": "-1\n",
    "cpuacct.usage": "5000000000\n",
    "memory.limit_in_bytes": "9223372036854771712\n",
    "memory.memsw.limit_in_bytes": "9223372036854771712\n",
    "memory.usage_in_bytes": "0\n",
    "memory.max_usage_in_bytes": "0\n",
    "memory.force_empty": "",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    "pids.max": "max\n",
    "pids.current": "0\n",
    "pids.events": "max 0\n",
}

Make = Callable[..., ChildCgroup]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make one of that version, whose directory has its files as soon as it is made."""
    make_directory, files, all_made = Path.mkdir, dict[str, str](), list[ChildCgroup]()

    def make_with_files(self: Path) -> None:
        make_directory(self)
        for name, text in files.items():
            (self / name).write_text(text)

    def remove_with_files(directory: Path) -> bool:
        shutil.rmtree(directory)
        return True

    def make(
        version: int = 2, controllers: frozenset[str] = ALL, without: str = "", **limits: object
    ) -> ChildCgroup:
        files.update(VERSION_2 if version == 2 else VERSION_1)
        files.pop(without, None)
        place = CgroupPlace(version, str(tmp_path))
        all_made.append(ChildCgroup(place, controllers, CgroupLimits(**limits)))  # type: ignore[arg-type]
        return all_made[-1]

    monkeypatch.setattr(Path, "mkdir", make_with_files)
    monkeypatch.setattr(cgroup_names, "remove", remove_with_files)
    before = os.listdir("/proc/self/fd")
    yield make
    for each in all_made:
        each.close()
    assert list(tmp_path.iterdir()) == []
    assert os.listdir("/proc/self/fd") == before


def says(cgroup: ChildCgroup, name: str) -> str:
    """The first line of a file; what was written over it may be shorter than what was there."""
    return (cgroup.path / name).read_text().splitlines()[0]


def write(cgroup: ChildCgroup, name: str, text: str) -> None:
    """As the kernel changes it."""
    (cgroup.path / name).write_text(text)


def test_limits_of_version_2(made: Make) -> None:
    """All of them in one directory."""
    cgroup = made(memory=1 << 26, swap=1 << 20, processes=16, cpus=0.5)
    assert says(cgroup, "memory.max") == "67108864"
    assert says(cgroup, "memory.swap.max") == "1048576"
    assert says(cgroup, "pids.max").startswith("16")
    assert says(cgroup, "cpu.max").startswith("50000 100000")


def test_limits_of_version_1(made: Make) -> None:
    """Swap is counted together with memory there."""
    cgroup = made(1, memory=1 << 26, swap=1 << 20, processes=16, cpus=1.5)
    assert says(cgroup, "memory.limit_in_bytes").startswith("67108864")
    assert says(cgroup, "memory.memsw.limit_in_bytes").startswith("68157440")
    assert says(cgroup, "cpu.cfs_quota_us").startswith("150000")
    assert says(cgroup, "cpu.cfs_period_us").startswith("100000")


@pytest.mark.parametrize(
    ("cpus", "written"),
    [
        (64, "6400000 100000"),
        (0.01, "1000 100000"),
        (0.005, "5000 1000000"),
        (0.0001, "1000 1000000"),
    ],
)
def test_parts_of_processors(made: Make, cpus: float, written: str) -> None:
    """A quota is a millisecond at least, and a period a second at most."""
    assert says(made(cpus=cpus), "cpu.max").startswith(written)


def test_without_a_controller(made: Make) -> None:
    """What another hierarchy limits is not written here."""
    cgroup = made(controllers=frozenset({"pids"}), memory=1 << 26, processes=4, cpus=1)
    assert says(cgroup, "memory.max") == "max"
    assert says(cgroup, "cpu.max") == "max 100000"
    assert says(cgroup, "pids.max").startswith("4")
    assert cgroup.peak_memory() is None


def test_how_a_process_comes_into_it(made: Make) -> None:
    """By one file, which stays open and which no program inherits."""
    for version, name in ((1, "tasks"), (2, "cgroup.procs")):
        cgroup = made(version)
        assert cgroup.entry_name == name
        assert os.readlink(f"/proc/self/fd/{cgroup.entry}") == f"{cgroup.path}/{name}"
        assert os.readlink(f"/proc/self/fd/{cgroup.directory}") == str(cgroup.path)
        assert not os.get_inheritable(cgroup.entry)
        assert not os.get_inheritable(cgroup.directory)


def test_what_it_counts(made: Make) -> None:
    """From the last begin() on, whatever was before."""
    cgroup = made(processes=8)
    cgroup.begin()
    assert not cgroup.was_oom_killed()
    assert (cgroup.refused_forks(), cgroup.cpu_seconds(), cgroup.bytes_written()) == (0, 0, 0)
    write(cgroup, "memory.events", "oom 7\noom_kill 8\noom_group_kill 0\n")
    write(cgroup, "pids.events", "max 5\n")
    write(cgroup, "cpu.stat", "usage_usec 2501000\nuser_usec 1\n")
    write(cgroup, "io.stat", "8:0 rbytes=1 wbytes=8192 rios=1 wios=1\n")
    write(cgroup, "memory.peak", "12345\n")
    assert cgroup.was_oom_killed()
    assert cgroup.refused_forks() == 3
    assert cgroup.cpu_seconds() == 2.5
    assert cgroup.bytes_written() == 3996
    assert cgroup.peak_memory() == 12345
    cgroup.begin()
    assert not cgroup.was_oom_killed()
    assert (cgroup.refused_forks(), cgroup.cpu_seconds()) == (0, 0)


def test_what_version_1_counts(made: Make) -> None:
    """Processor time in nanoseconds, and nothing of what is written."""
    cgroup = made(1, frozenset({"cpuacct", "memory"}))
    cgroup.begin()
    write(cgroup, "cpuacct.usage", "6500000000\n")
    write(cgroup, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert cgroup.cpu_seconds() == 1.5
    assert cgroup.was_oom_killed()
    assert cgroup.bytes_written() is None


def test_the_most_processes(made: Make) -> None:
    """It cannot be reset, so it is known only when it has grown."""
    cgroup = made()
    cgroup.begin()
    assert cgroup.peak_processes() is None
    write(cgroup, "pids.peak", "4\n")
    assert cgroup.peak_processes() == 4


def test_the_most_processes_of_who_was_refused_one(made: Make) -> None:
    """It had as many as there may be, whoever had them before."""
    cgroup = made(processes=4)
    write(cgroup, "pids.peak", "4\n")
    cgroup.begin()
    assert cgroup.peak_processes() is None
    write(cgroup, "pids.events", "max 3\n")
    assert cgroup.peak_processes() == 4


@pytest.mark.parametrize("without", ["memory.peak", "io.stat", "pids.peak", "cpu.stat"])
def test_an_older_kernel(made: Make, without: str) -> None:
    """What it does not count is unknown, and nothing else is."""
    cgroup = made(without=without)
    cgroup.begin()
    for name in {"pids.peak", "memory.peak"} - {without}:
        write(cgroup, name, "9\n")
    known = {
        "memory.peak": cgroup.peak_memory(),
        "io.stat": cgroup.bytes_written(),
        "pids.peak": cgroup.peak_processes(),
        "cpu.stat": cgroup.cpu_seconds(),
    }
    assert [name for name, value in known.items() if value is None] == [without]


def test_it_is_empty(made: Make) -> None:
    """What little the kernel charges in advance does not count."""
    cgroup = made(memory=1 << 26)
    assert cgroup.empty()
    write(cgroup, "memory.current", f"{1 << 20}\n")
    assert cgroup.empty()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cgroup.procs", "4711\n"),
        ("cgroup.subtree_control", "memory\n"),
        ("pids.current", "1\n"),  # a zombie
        ("memory.current", f"{2 << 20}\n"),
    ],
)
def test_it_is_not_empty(made: Make, name: str, text: str) -> None:
    """The next child would not have all of the amounts in it."""
    cgroup = made(memory=1 << 26)
    write(cgroup, name, text)
    assert not cgroup.empty()
    if name == "memory.current":
        assert says(cgroup, "memory.reclaim") == f"{2 << 20}"


def test_cgroups_below(made: Make) -> None:
    """The child has made one."""
    cgroup = made()
    os.mkdir(cgroup.path / "below")
    assert not cgroup.empty()


def test_a_kill_of_all(made: Make) -> None:
    """Version 2 does it at once."""
    cgroup = made()
    assert cgroup.kill(1)
    assert says(cgroup, "cgroup.kill").startswith("1")


def test_nothing_is_left_of_one_that_failed(made: Make, tmp_path: Path) -> None:
    """Where a limit cannot be set, that is an error, and the directory is removed."""
    with pytest.raises(FileNotFoundError):
        made(without="pids.max", processes=8)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_one_that_was_never_begun_is_dropped() -> None:
    """A signal handler may raise before its __init__() runs."""
    ChildCgroup.__new__(ChildCgroup)
