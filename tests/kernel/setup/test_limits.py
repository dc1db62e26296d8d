import ctypes
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from ramet import CloneFlag as F
from ramet import Command

from ...constants import PR_GET_TIMERSLACK, SYSTEM_CALLS

Told: TypeAlias = Callable[..., str]
Status: TypeAlias = Callable[..., dict[str, str]]

# name, a value below every usual limit, what /proc/self/limits calls it
RLIMITS = [
    ("CPU", 1000, "Max cpu time"),
    ("FSIZE", 1 << 30, "Max file size"),
    ("DATA", 1 << 33, "Max data size"),
    ("STACK", 1 << 22, "Max stack size"),
    ("CORE", 0, "Max core file size"),
    ("RSS", 1 << 33, "Max resident set"),
    ("NPROC", 5000, "Max processes"),
    ("NOFILE", 64, "Max open files"),
    ("MEMLOCK", 4096, "Max locked memory"),
    ("AS", 1 << 34, "Max address space"),
    ("LOCKS", 100, "Max file locks"),
    ("SIGPENDING", 100, "Max pending signals"),
    ("MSGQUEUE", 8192, "Max msgqueue size"),
    ("NICE", 0, "Max nice priority"),
    ("RTPRIO", 0, "Max realtime priority"),
    ("RTTIME", 1000000, "Max realtime timeout"),
]

IOPRIO_GET, SCHED_GETATTR = SYSTEM_CALLS["ioprio_get"], SYSTEM_CALLS["sched_getattr"]


def limits(told: Told, **options: object) -> dict[str, list[str]]:
    lines = told(["cat", "/proc/self/limits"], **options).splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[:2] for line in lines}


@pytest.mark.parametrize(("name", "value", "called"), RLIMITS, ids=[row[0] for row in RLIMITS])
def test_each_limit(told: Told, name: str, value: int, called: str, nothing_left: object) -> None:
    """A limit is set by its name, soft and hard; the caller's stays as it is."""
    which = getattr(resource, f"RLIMIT_{name}", None)
    before = None if which is None else resource.getrlimit(which)
    assert limits(told, rlimits={name: value})[called] == [str(value), str(value)]
    # A soft limit of some kinds may be too low for the program that shall show it.
    soft = value if name in {"CPU", "DATA", "STACK", "NOFILE", "AS"} else 0
    both = limits(told, rlimits={f"RLIMIT_{name}": (soft, value)})[called]
    assert both == [str(soft), str(value)]
    assert which is None or resource.getrlimit(which) == before


def test_soft_and_hard_limits(told: Told, nothing_left: object) -> None:
    """A pair is (soft, hard), None and "unlimited" are no limit, and a number names one as well."""
    assert limits(told, rlimits={"NOFILE": (32, 64)})["Max open files"] == ["32", "64"]
    assert limits(told, rlimits={resource.RLIMIT_NOFILE: 48})["Max open files"] == ["48", "48"]
    if resource.getrlimit(resource.RLIMIT_CPU)[1] == resource.RLIM_INFINITY:
        for endless in (None, "unlimited", resource.RLIM_INFINITY):
            got = limits(told, rlimits={"CPU": (3600, endless)})["Max cpu time"]
            assert got == ["3600", "unlimited"]


def test_a_low_limit_of_descriptors_does_not_stop_the_moves(
    told: Told, nothing_left: object
) -> None:
    """Descriptors are moved before a limit is set that would forbid their numbers."""
    with open(os.devnull, "rb") as file:
        code = 'readlink /proc/self/fd/50; grep "open files" /proc/self/limits'
        said = told(["sh", "-c", code], fds={50: file}, rlimits={"NOFILE": 20}).splitlines()
    assert said[0] == os.devnull
    assert said[1].split()[3:5] == ["20", "20"]


@pytest.mark.parametrize("more", [0, 1, 19])
def test_nice(told: Told, more: int, nothing_left: object) -> None:
    """The niceness is the number itself, and the caller's stays."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    nice = min(before + more, 19)
    assert told(["nice"], nice=nice) == str(nice)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_a_negative_nice(told: Told, root: None, nothing_left: object) -> None:
    """With the privilege it can be below zero."""
    assert told(["nice"], nice=-20) == "-20"


def test_affinity(status: Status, nothing_left: object) -> None:
    """The child runs on the processors that were named, and the caller on its own."""
    mine = os.sched_getaffinity(0)
    for processor in mine:
        assert status(cpu_affinity=[processor])["Cpus_allowed_list"] == str(processor)
    assert os.sched_getaffinity(0) == mine


def schedule(told: Told, **options: object) -> tuple[int, int]:
    """(policy, real-time priority), fields 41 and 40 of proc_pid_stat(5)."""
    fields = told(["cat", "/proc/self/stat"], **options).rpartition(")")[2].split()
    return int(fields[41 - 3]), int(fields[40 - 3])


def test_schedulers_for_everybody(told: Told, nothing_left: object) -> None:
    """BATCH and IDLE need no privilege and no number, and leave the caller's policy."""
    assert schedule(told, scheduler="BATCH") == (3, 0)
    assert schedule(told, scheduler="SCHED_IDLE") == (5, 0)
    assert schedule(told, scheduler=("OTHER",)) == (0, 0)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.parametrize(
    ("said", "seen"), [(("FIFO", 7), (1, 7)), (("RR", 99), (2, 99)), (("SCHED_FIFO", 1), (1, 1))]
)
def test_real_time_schedulers(
    told: Told,
    said: tuple[str, int],
    seen: tuple[int, int],
    root: None,
    nothing_left: object,
) -> None:
    """FIFO and RR come with their priority."""
    assert schedule(told, scheduler=said) == seen


def test_a_deadline(python_told: Told, root: None, nothing_left: object) -> None:
    """The three times of a deadline arrive, in nanoseconds."""
    code = f"""
import ctypes, struct
attr = ctypes.create_string_buffer(48)
assert ctypes.CDLL(None).syscall({SCHED_GETATTR}, 0, attr, 48, 0) == 0
print(*struct.unpack("=IIQiI3Q", attr.raw))
"""
    said = python_told(code, scheduler=("DEADLINE", 1_000_000, 10_000_000, 20_000_000))
    assert said == "48 6 0 0 0 1000000 10000000 20000000"


def test_schedule_and_nice_together(told: Told, nothing_left: object) -> None:
    """A policy and a niceness are set both."""
    fields = told(["cat", "/proc/self/stat"], scheduler="BATCH", nice=19).rpartition(")")[2].split()
    assert [fields[41 - 3], fields[19 - 3]] == ["3", "19"]


@pytest.mark.parametrize(
    ("said", "seen"),
    [("IDLE", 3 << 13), (("IDLE", 7), 3 << 13 | 7), (("BE", 4), 2 << 13 | 4)],
)
def test_io_priority(
    python_told: Told, said: str | tuple[str, int], seen: int, nothing_left: object
) -> None:
    """The class and the level of I/O are set."""
    code = f"import ctypes; print(ctypes.CDLL(None).syscall({IOPRIO_GET}, 1, 0))"
    assert int(python_told(code, io_priority=said)) == seen


def test_real_time_io_priority(python_told: Told, root: None, nothing_left: object) -> None:
    """The real-time class needs the privilege."""
    code = f"import ctypes; print(ctypes.CDLL(None).syscall({IOPRIO_GET}, 1, 0))"
    assert int(python_told(code, io_priority=("IOPRIO_CLASS_RT", 2))) == 1 << 13 | 2


def own_oom_score_adj() -> int:
    return int(Path("/proc/self/oom_score_adj").read_text())


def test_oom_score_adj(told: Told, nothing_left: object) -> None:
    """It is the child's alone, though its clone call is in the caller's memory."""
    before = own_oom_score_adj()
    assert told(["cat", "/proc/self/oom_score_adj"], oom_score_adj=1000) == "1000"
    assert own_oom_score_adj() == before


def test_oom_score_adj_of_a_child_that_waits(nothing_left: object) -> None:
    """While the child waits for its start the caller's own is as it was."""
    before = own_oom_score_adj()
    with Command(["true"], oom_score_adj=777, start=False).spawn() as child:
        assert Path(f"/proc/{child.pid}/oom_score_adj").read_text() == "777\n"
        assert own_oom_score_adj() == before
        child.start()
        assert child.wait(60).success
    assert own_oom_score_adj() == before


def test_oom_score_adj_in_a_user_namespace(told: Told, nothing_left: object) -> None:
    """The same in a namespace whose maps the caller writes while the child waits."""
    before = own_oom_score_adj()
    options = {"flags": F.NEWUSER, "uid_map": [(0, os.geteuid(), 1)], "oom_score_adj": 900}
    assert told(["cat", "/proc/self/oom_score_adj"], **options) == "900"
    assert own_oom_score_adj() == before


def personality(told: Told, **options: object) -> int:
    return int(told(["cat", "/proc/self/personality"], **options), 16)


def test_personality(told: Told, nothing_left: object) -> None:
    """The program runs with the personality that was said; the caller keeps its own."""
    assert personality(told, personality=0x0020000) == 0x0020000
    assert personality(told, personality=0x0020000, aslr=False) == 0x0060000
    assert personality(told, personality=0x0040000) == 0x0040000
    assert personality(told, personality=0x0040000, aslr=True) == 0
    assert int(Path("/proc/self/personality").read_text(), 16) == personality(told)


def test_without_aslr_two_runs_have_the_same_map(told: Told, nothing_left: object) -> None:
    """Addresses are random by default, and the same each time without."""
    command = ["cat", "/proc/self/maps"]
    assert told(command, aslr=False) == told(command, aslr=False)
    assert told(command) != told(command)
    assert told(command, aslr=True) != told(command, aslr=True)


def test_timer_slack(told: Told, nothing_left: object) -> None:
    """The slack of timers is set in nanoseconds."""
    assert told(["cat", "/proc/self/timerslack_ns"], timer_slack_ns=123456) == "123456"
    assert ctypes.CDLL(None).prctl(PR_GET_TIMERSLACK) != 123456


def test_many_limits_at_once(told: Told, nothing_left: object) -> None:
    """All words of this kind work together."""
    mine = min(os.sched_getaffinity(0))
    said = told(
        [
            "sh",
            "-c",
            "nice; cat /proc/self/timerslack_ns; grep Cpus_allowed_list /proc/self/status",
        ],
        rlimits={"NOFILE": 64, "CORE": 0, "AS": 1 << 34},
        nice=19,
        scheduler="IDLE",
        io_priority="IDLE",
        cpu_affinity=[mine],
        oom_score_adj=1000,
        aslr=False,
        timer_slack_ns=70_000,
    )
    assert said.split() == ["19", "70000", "Cpus_allowed_list:", str(mine)]
