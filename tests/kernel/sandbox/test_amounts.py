"""The amounts of real programs: in the cgroups that there are, and by limits and the watch."""

import contextlib
import math
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ramet import ExitStatus
from ramet._sandbox.amounts import amounts as module
from ramet._sandbox.amounts.amounts import Amounts
from ramet._sandbox.amounts.place import Place
from ramet._sandbox.amounts.usage import Usage
from ramet._sandbox.description import Sandbox

from ...copies import forked
from ...kernels import KERNEL, PEAKS_ARE_COUNTED
from ...waiting import exit_code
from . import placed
from .placed import GRANDCHILD, MANY_SPIN, MEGABYTE, PYTHON, SPIN, TOUCH, Make, run_in, start

pytestmark = pytest.mark.usefixtures("nothing_left")

Run = Callable[..., tuple[ExitStatus, Usage]]

NEWUSER = 0x10000000
USER_OF_NOTHING = 61234


def part(limit: int, most: int, divisor: int) -> tuple[int, int]:
    """Of what a user's processes have together: so much at most, and not all that this one has."""
    own = resource.getrlimit(limit)[0]
    found = most if own == resource.RLIM_INFINITY else min(most, math.ceil(own / divisor))
    return found, found


IN_EACH = {
    "CORE": (1, 1),
    "RTPRIO": (0, 0),
    "NICE": (0, 0),
    "MEMLOCK": part(resource.RLIMIT_MEMLOCK, 8 * MEGABYTE, 2),
    "SIGPENDING": part(resource.RLIMIT_SIGPENDING, 1024, 4),
    "MSGQUEUE": part(resource.RLIMIT_MSGQUEUE, 409600, 2),
}

with_cgroups = pytest.fixture(placed.with_cgroups)


@pytest.fixture
def with_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make Amounts with these wishes as where no cgroup can be made."""
    monkeypatch.setattr(module, "find_places", lambda _: {})
    with contextlib.ExitStack() as stack:
        yield lambda **wishes: stack.enter_context(Amounts(Sandbox(**wishes)))


@pytest.fixture(params=["cgroups", "limits"])
def made(request: pytest.FixtureRequest) -> Make:
    """Both, one after the other."""
    make: Make = request.getfixturevalue(f"with_{request.param}")
    return make


@pytest.fixture
def run(made: Make) -> Run:
    """Run a program with these amounts; how it ended, and what it used."""

    def run(argv: list[str], **wishes: Any) -> tuple[ExitStatus, Usage]:
        place = made(**wishes).new_place(clones_into=False)
        try:
            return run_in(place, argv)
        finally:
            place.close()

    return run


def test_within_all_amounts(run: Run) -> None:
    """A program that uses little ends as it would without them, and what it used is told."""
    status, usage = run(
        [*PYTHON, "pass"],
        memory="64M",
        processes=8,
        cpu_time=20,
        cpus=1,
        open_files=64,
        file_size="1M",
        output="1M",
        timeout=60,
    )
    assert (status.code, status.reason) == (0, "exited")
    assert usage.limits_hit == ()
    assert usage.cpu_seconds is not None
    assert 0 < usage.cpu_seconds < 20


def test_too_much_memory(run: Run) -> None:
    """The program is killed, or gets a MemoryError."""
    status, usage = run([*PYTHON, TOUCH.format(400)], memory="64M", timeout=60)
    if status.signal is not None:
        assert (status.signal, status.reason) == (signal.SIGKILL, "out of memory")
        assert usage.limits_hit == ("memory",)
    else:
        assert status.code == 1


def test_too_much_memory_slowly(run: Run) -> None:
    """What RLIMIT_DATA allows, as it is much, is stopped by the watch, or by the cgroup."""
    status, usage = run([*PYTHON, TOUCH.format(70) + "\n" + SPIN], memory="64M", timeout=60)
    assert (status.signal, status.reason) == (signal.SIGKILL, "out of memory")
    assert usage.limits_hit == ("memory",)
    if PEAKS_ARE_COUNTED:
        assert usage.peak_memory is not None
        assert 60 * MEGABYTE < usage.peak_memory < 100 * MEGABYTE


def test_a_grandchild_with_too_much_memory(run: Run) -> None:
    """The reason is the same, though the program itself may have exited by itself."""
    work = TOUCH.format(70) + "\n    while True: pass"
    status, usage = run([*PYTHON, GRANDCHILD.format(work)], memory="64M", timeout=60)
    assert status.reason == "out of memory"
    assert "memory" in usage.limits_hit


def test_the_deadline(run: Run) -> None:
    """A program that hangs is killed when its time is over."""
    began = time.monotonic()
    status, usage = run(["/bin/sleep", "1000"], timeout=0.2)
    assert (status.signal, status.reason) == (signal.SIGKILL, "deadline")
    assert usage.limits_hit == ("timeout",)
    assert time.monotonic() - began < 5


def test_too_much_processor_time(run: Run) -> None:
    """It is killed before a second has gone by, which is as exact as RLIMIT_CPU alone could be."""
    status, usage = run([*PYTHON, SPIN], cpu_time=0.3, timeout=60)
    assert (status.signal, status.reason) == (signal.SIGKILL, "cpu time")
    assert usage.limits_hit == ("cpu_time",)
    assert usage.cpu_seconds is not None
    assert 0.3 <= usage.cpu_seconds < 0.9


def test_processor_time_of_all_together(run: Run) -> None:
    """What a program does in many processes counts together."""
    status, usage = run([*PYTHON, MANY_SPIN], cpu_time=0.5, timeout=60)
    assert status.reason == "cpu time"
    assert "cpu_time" in usage.limits_hit


@pytest.mark.parametrize(("wished", "limit"), [(0.3, 1), (1, 2), (2, 3), (10, 13)])
def test_processor_time_that_the_kernel_counts_too_high(
    made: Make, wished: float, limit: int
) -> None:
    """RLIMIT_CPU counts ticks, up to a tenth too much: it ends no program before its time is over."""
    place = made(cpu_time=wished).new_place(clones_into=False)
    assert place.rlimits["CPU"] == (limit, limit + 1)
    place.close()


def test_a_watch_that_comes_too_late(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """RLIMIT_CPU keeps the limit of one process even then; its signal tells the reason."""
    monkeypatch.setattr(Place, "_look_at_cpu", lambda _: None)
    status, usage = run([*PYTHON, SPIN], cpu_time=0.3, timeout=60)
    assert (status.signal, status.reason) == (signal.SIGXCPU, "cpu time")
    assert usage.limits_hit == ("cpu_time",)


def test_a_program_that_ignores_that_signal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed a second later."""
    monkeypatch.setattr(Place, "_look_at_cpu", lambda _: None)
    # A shell: on a slow machine an interpreter takes as long to start as it is given.
    argv = ["/bin/sh", "-c", "trap '' XCPU; while :; do :; done"]
    status, _ = run(argv, cpu_time=0.3, timeout=60)
    assert (status.signal, status.reason) == (signal.SIGKILL, "cpu time")


def test_too_large_a_file(run: Run, tmp_path: Path) -> None:
    """The program is killed by SIGXFSZ, and the file is no larger."""
    large = tmp_path / "large"
    status, usage = run(
        ["/bin/dd", "if=/dev/zero", f"of={large}", "bs=4k"], file_size="64k", timeout=60
    )
    assert (status.signal, status.reason) == (signal.SIGXFSZ, "file size")
    assert usage.limits_hit == ("file_size",)
    assert large.stat().st_size == 64 << 10


def test_too_many_open_files(run: Run) -> None:
    """The program gets EMFILE, which nobody else sees."""
    code = "import os\nfor _ in range(20): os.open('/', os.O_RDONLY)"
    status, _ = run([*PYTHON, code], open_files=16, timeout=60)
    assert (status.code, status.reason) == (1, "exited")


# ---- what limits and the watch do


def test_nothing_is_joined(with_limits: Make) -> None:
    """Where there is no cgroup, and nothing can be killed by one."""
    with contextlib.closing(with_limits(processes=5).new_place()) as place:
        assert (place.joins, place.entries, place.clone_cgroup) == ([], [], None)
        assert not place.kill()


def test_processes_of_a_user(with_limits: Make) -> None:
    """RLIMIT_NPROC counts those of one user in a user namespace, and the init of the program's."""
    place = with_limits(processes=5).new_place()
    place.close()
    assert place.rlimits == {**IN_EACH, "NPROC": (6, 6)}

    def count_forks() -> None:
        if os.geteuid() == 0:
            os.setresuid(USER_OF_NOTHING, USER_OF_NOTHING, USER_OF_NOTHING)
        resource.setrlimit(resource.RLIMIT_NPROC, place.rlimits["NPROC"])
        read, write = os.pipe()
        for count in range(20):
            try:
                pid = os.fork()
            except BlockingIOError:
                os._exit(count)
            if pid == 0:
                os.close(write)
                os.read(read, 1)  # until the first of them has ended
                os._exit(0)

    # A user namespace has a count of its own since Linux 5.14.
    counted = exit_code(forked(count_forks, 0 if os.geteuid() == 0 else NEWUSER))
    if os.geteuid() == 0 or KERNEL >= (5, 14):
        assert counted == 5
    else:
        assert counted <= 5


def test_data_is_limited_with_what_libraries_reserve(with_limits: Make) -> None:
    """40 MiB for each processor, without which OpenBLAS hangs."""
    place = with_limits(memory="64M").new_place()
    much = (64 + 40 * len(os.sched_getaffinity(0))) * MEGABYTE
    assert place.rlimits == {**IN_EACH, "DATA": (much, much)}
    place.close()


def test_processors_instead_of_their_time(with_limits: Make) -> None:
    """A part of one is one."""
    own = sorted(os.sched_getaffinity(0))
    place = with_limits(cpus=0.5).new_place()
    assert place.affinity == (own[:1] if len(own) > 1 else None)
    place.close()
    place = with_limits(cpus=len(own)).new_place()
    assert place.affinity is None
    place.close()


def test_the_hard_limit_of_the_caller_stays(with_limits: Make) -> None:
    """It cannot be raised, and a lower one keeps what is wished."""

    def ask() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 60))
        assert with_limits(open_files=100).new_place().rlimits["NOFILE"] == (60, 60)
        assert with_limits(open_files=40).new_place().rlimits["NOFILE"] == (40, 40)

    assert os.waitpid(forked(ask), 0)[1] == 0


def test_too_much_output(with_limits: Make) -> None:
    """The caller counts what it reads; the child is killed at the first byte beyond."""
    place = with_limits(output=1000).new_place()
    pid = start(place, ["/bin/sleep", "1000"])
    pidfd = os.pidfd_open(pid)
    place.begin(pid, pidfd)
    assert place.count_output(1000)
    assert not place.count_output(1)
    _, word, rusage = os.wait4(pid, 0)
    status = place.ended(ExitStatus.from_wstatus(word, rusage))
    assert (status.signal, status.reason) == (signal.SIGKILL, "output")
    assert (place.usage().output, place.usage().limits_hit) == (1001, ("output",))
    os.close(pidfd)
    place.close()


def test_the_tree_is_killed_as_the_launcher_says(with_limits: Make) -> None:
    """It knows the init of the namespace, whose end is the end of all."""
    killed = []
    place = with_limits(timeout=0.1).new_place()
    pid = start(place, ["/bin/sleep", "1000"])
    pidfd = os.pidfd_open(pid)

    def kill() -> None:
        killed.append(pid)
        os.kill(pid, signal.SIGKILL)

    place.begin(pid, pidfd, kill)
    _, word, rusage = os.wait4(pid, 0)
    assert place.ended(ExitStatus.from_wstatus(word, rusage)).reason == "deadline"
    assert killed == [pid]
    os.close(pidfd)
    place.close()


def test_what_the_launcher_knows(with_limits: Make) -> None:
    """It names the forbidden call that has ended a program."""
    place = with_limits(timeout=60).new_place()
    place.because("forbidden call mount")
    status = place.ended(ExitStatus.from_wstatus(signal.SIGSYS))
    assert (status.signal, status.reason) == (signal.SIGSYS, "forbidden call mount")
    assert place.ended(ExitStatus.from_wstatus(signal.SIGSYS)) == status
    place.close()


def test_after_its_end_nothing_is_killed(with_limits: Make) -> None:
    """Its pid may be another process's."""
    killed: list[int] = []
    place = with_limits(output=10, timeout=60).new_place()
    pid = start(place, ["/bin/true"])
    pidfd = os.pidfd_open(pid)
    place.begin(pid, pidfd, lambda: killed.append(pid))
    _, word, rusage = os.wait4(pid, 0)
    assert not place.count_output(11)  # it has ended, and is not yet said to have
    status = place.ended(ExitStatus.from_wstatus(word, rusage))
    assert not place.count_output(11)
    assert (status.reason, killed) == ("exited", [])
    assert place.usage().limits_hit == ("output",)
    os.close(pidfd)
    place.close()
    place.close()


def test_output_that_is_read_after_the_end_counts(made: Make) -> None:
    """A pipe has it as long as nobody reads it, and another thread may reap its writer before."""
    place = made(output=1000, memory=64 * MEGABYTE).new_place()
    pid = start(place, ["/bin/false"])
    _, word, rusage = os.wait4(pid, 0)
    assert place.ended(ExitStatus.from_wstatus(word, rusage)).reason == "exited"
    assert place.count_output(1000)
    assert not place.count_output(1)
    assert (place.usage().output, place.usage().limits_hit) == (1001, ("output",))
    place.close()


def test_usage_before_the_end_is_refused(with_limits: Make) -> None:
    """There is none yet."""
    place = with_limits(timeout=60).new_place()
    with pytest.raises(RuntimeError, match="ended"):
        place.usage()
    place.close()


def test_bytes_written_to_storage(with_limits: Make, tmp_path: Path) -> None:
    """They are told at least in full; a file in memory does not count."""
    with contextlib.closing(with_limits(timeout=60).new_place()) as place:
        argv = ["/bin/dd", "if=/dev/zero", f"of={tmp_path}/file", "bs=1M", "count=2"]
        _, usage = run_in(place, argv)
    assert usage.bytes_written is not None
    assert usage.bytes_written >= 2 * MEGABYTE or _is_in_memory(tmp_path)


def _is_in_memory(path: Path) -> bool:
    mounts = [line.split(" ")[:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = max((m for m in mounts if path.is_relative_to(m[1])), key=lambda m: len(m[1]))
    return holding[2] in {"tmpfs", "ramfs"}


def test_no_thread_is_left(with_limits: Make) -> None:
    """The watch ends when nothing is to be watched, and begins again."""
    for _ in range(3):
        with contextlib.closing(with_limits(timeout=60).new_place()) as place:
            assert run_in(place, ["/bin/true"])[0].success
