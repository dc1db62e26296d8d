"""The amounts of real programs: in the cgroups that there are, and by limits and the watch."""

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ramet import ExitStatus
from ramet._sandbox import amounts as module
from ramet._sandbox.amounts import Amounts
from ramet._sandbox.description import Sandbox
from ramet._sandbox.place import Place
from ramet._sandbox.usage import Usage

from ...copies import forked
from ...waiting import until

MEGABYTE = 1 << 20
PYTHON = [sys.executable, "-I", "-S", "-c"]

pytestmark = pytest.mark.usefixtures("nothing_left")

TOUCH = "held = b'x' * ({} << 20)"
THREADS = """
import threading
gate = threading.Event()
for _ in range({}):
    threading.Thread(target=gate.wait, daemon=True).start()
"""
GRANDCHILD = """
import os
pid = os.fork()
if pid == 0:
    {}
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0)
"""
SPIN = "while True: pass"
MANY_SPIN = """
import os
for _ in range(3):
    if os.fork() == 0:
        break
while True: pass
"""
# Processes that nobody waits for, each in a session of its own.
SCATTERED = """
import os, time
for _ in range({}):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
"""


def _start(place: Place, argv: list[str]) -> int:
    """A child that does what a launcher makes the newborn do."""

    def enter_and_run() -> None:
        for entry in place.entries:
            os.write(entry, b"0")
        for name, limit in place.rlimits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), limit)
        for number in (signal.SIGXFSZ, signal.SIGPIPE):  # Python ignores them
            signal.signal(number, signal.SIG_DFL)
        if place.affinity is not None:
            os.sched_setaffinity(0, place.affinity)
        quiet = os.open("/dev/null", os.O_RDWR)
        os.dup2(quiet, 2)
        os.execv(argv[0], argv)

    return forked(enter_and_run)


def _run_in(place: Place, argv: list[str]) -> tuple[ExitStatus, Usage]:
    pid = _start(place, argv)
    pidfd = os.pidfd_open(pid)
    try:
        place.begin(pid, pidfd)
        _, word, rusage = os.wait4(pid, 0)
        status = place.ended(ExitStatus.from_wstatus(word, rusage))
    finally:
        os.close(pidfd)
        place.kill()
    return status, place.usage()


Run = Callable[..., tuple[ExitStatus, Usage]]


Make = Callable[..., Amounts]


@pytest.fixture
def with_cgroups() -> Iterator[Make]:
    """Make Amounts with these wishes, in cgroups; all are gone in the end."""
    with contextlib.ExitStack() as stack:

        def make(**wishes: Any) -> Amounts:
            amounts = stack.enter_context(Amounts(Sandbox(**wishes)))
            if not amounts.controllers >= {
                _CONTROLLERS[wish] for wish in wishes.keys() & _CONTROLLERS
            }:
                pytest.skip("needs cgroups below which this process may make others")
            return amounts

        yield make
    assert _left() == []


_CONTROLLERS = {"memory": "memory", "processes": "pids", "cpus": "cpu", "cpu_time": ""}


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
            return _run_in(place, argv)
        finally:
            place.close()

    return run


def _left() -> list[str]:
    """Cgroups of this process, wherever they are mounted."""
    mounts = [line.split(" ")[:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    tops = [Path(place) for _, place, kind in mounts if kind.startswith("cgroup")]
    return [str(each) for top in tops for each in top.rglob(f"ramet-*-{os.getpid()}-*-sandbox")]


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


def test_a_watch_that_comes_too_late(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """RLIMIT_CPU keeps the limit of one process even then; its signal tells the reason."""
    monkeypatch.setattr(Place, "_look_at_cpu", lambda _: None)
    status, usage = run([*PYTHON, SPIN], cpu_time=0.3, timeout=60)
    assert (status.signal, status.reason) == (signal.SIGXCPU, "cpu time")
    assert usage.limits_hit == ("cpu_time",)


def test_a_program_that_ignores_that_signal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed a second later."""
    monkeypatch.setattr(Place, "_look_at_cpu", lambda _: None)
    code = f"import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n{SPIN}"
    status, _ = run([*PYTHON, code], cpu_time=0.3, timeout=60)
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


# ---- what cgroups do


def test_too_many_processes(with_cgroups: Make) -> None:
    """The program cannot make one more; that it gave up for it is the reason."""
    with contextlib.closing(with_cgroups(processes=6).new_place(clones_into=False)) as place:
        status, usage = _run_in(place, [*PYTHON, THREADS.format(20)])
    assert (status.code, status.reason) == (1, "processes")
    assert usage.limits_hit == ("processes",)
    assert usage.peak_processes == 6


def test_a_program_that_goes_on_without_a_process(with_cgroups: Make) -> None:
    """It has reached the limit, and that is no reason for its end."""
    code = f"try: exec({THREADS.format(20)!r})\nexcept RuntimeError: pass\nos._exit(0)"
    with contextlib.closing(with_cgroups(processes=6).new_place(clones_into=False)) as place:
        status, usage = _run_in(place, [*PYTHON, "import os\n" + code])
    assert (status.code, status.reason) == (0, "exited")
    assert usage.limits_hit == ("processes",)


def test_a_part_of_a_processor(with_cgroups: Make) -> None:
    """Half a second of processor time takes about two at a quarter of one."""
    began = time.monotonic()
    with contextlib.closing(
        with_cgroups(cpus=0.25, cpu_time=0.5).new_place(clones_into=False)
    ) as place:
        status, _ = _run_in(place, [*PYTHON, SPIN])
    assert status.reason == "cpu time"
    assert time.monotonic() - began > 1.4


@pytest.mark.parametrize("wishes", [{"processes": 32}, {"memory": "256M"}, {"cpu_time": 50}])
def test_all_that_is_in_it_is_killed(with_cgroups: Make, wishes: dict[str, Any]) -> None:
    """Processes too that nobody waits for, and that are in other sessions."""
    place = with_cgroups(**wishes).new_place(clones_into=False)
    try:
        pid = _start(place, [*PYTHON, SCATTERED.format(3)])
        os.waitpid(pid, 0)
        cgroup = place._cgroups[-1]
        until(lambda: len(cgroup.processes()) == 3)
        assert place.kill()
        assert cgroup.processes() == []
    finally:
        place.close()


def test_it_is_killed_by_walking_where_there_is_no_other_way(with_cgroups: Make) -> None:
    """So it is in every cgroup of version 1; the limit on processes holds again afterwards."""
    place = with_cgroups(processes=32).new_place(clones_into=False)
    try:
        (cgroup,) = (each for each in place._cgroups if "pids" in each.controllers)
        os.waitpid(_start(place, [*PYTHON, SCATTERED.format(9)]), 0)
        until(lambda: len(cgroup.processes()) == 9)
        assert cgroup.kill(10)
        assert (cgroup.path / "pids.max").read_text() == "32\n"
    finally:
        place.close()


def test_the_deadline_ends_the_tree(with_cgroups: Make) -> None:
    """What has left the program's session is killed as well."""
    amounts = with_cgroups(processes=32, timeout=0.3)
    with contextlib.closing(amounts.new_place(clones_into=False)) as place:
        code = SCATTERED.format(3) + "time.sleep(1000)"
        status, _ = _run_in(place, [*PYTHON, code])
        assert status.reason == "deadline"
        assert place._cgroups[-1].processes() == []


def test_a_cgroup_is_used_again(with_cgroups: Make) -> None:
    """What the last child has used does not count for the next."""
    amounts = with_cgroups(memory="64M", processes=8, cpu_time=30)
    first = amounts.new_place(clones_into=False)
    paths = [each.path for each in first._cgroups]
    status, _ = _run_in(first, [*PYTHON, TOUCH.format(100)])
    assert status.reason == "out of memory"
    first.close()
    with contextlib.closing(amounts.new_place(clones_into=False)) as second:
        assert [each.path for each in second._cgroups] == paths
        status, usage = _run_in(second, ["/bin/true"])
    assert (status.code, status.reason) == (0, "exited")
    assert usage.limits_hit == ()
    assert usage.peak_memory is not None
    assert usage.peak_memory < 16 * MEGABYTE
    assert usage.cpu_seconds is not None
    assert usage.cpu_seconds < 0.1


def test_a_cgroup_with_a_file_in_memory_is_not(with_cgroups: Make) -> None:
    """What a killed child has left in a tmpfs stays charged to it."""
    amounts = with_cgroups(memory="64M")
    held = os.memfd_create("held")  # as a tmpfs that somebody still has mounted
    try:
        first = amounts.new_place(clones_into=False)
        paths = {each.path for each in first._cgroups}
        code = f"import os\nos.write({held}, bytes(30 << 20))"
        os.set_inheritable(held, True)
        status, _ = _run_in(first, [*PYTHON, code])
        assert status.success
        first.close()
        with contextlib.closing(amounts.new_place(clones_into=False)) as second:
            assert paths.isdisjoint(each.path for each in second._cgroups)
            assert _run_in(second, [*PYTHON, TOUCH.format(45)])[0].success
    finally:
        os.close(held)


def test_many_at_a_time(with_cgroups: Make) -> None:
    """Each has its own: the end of one tells nothing of another."""
    amounts = with_cgroups(memory="64M", processes=4)
    places = [amounts.new_place(clones_into=False) for _ in range(4)]
    codes = [TOUCH.format(100), "pass", THREADS.format(9), "pass"]
    try:
        reasons = [
            _run_in(place, [*PYTHON, code])[0].reason
            for place, code in zip(places, codes, strict=True)
        ]
    finally:
        for place in places:
            place.close()
    assert reasons == ["out of memory", "exited", "processes", "exited"]


def test_a_process_that_is_still_there(with_cgroups: Make) -> None:
    """Its cgroup is removed when the next place is made after its end."""
    amounts = with_cgroups(processes=8)
    place = amounts.new_place(clones_into=False)
    pid = _start(place, ["/bin/sleep", "1000"])
    (cgroup,) = (each for each in place._cgroups if "pids" in each.controllers)
    until(lambda: cgroup.processes() == [pid])
    path = cgroup.path
    place.close()
    assert path.is_dir()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    amounts.new_place().close()
    assert not path.exists()


def test_what_a_killed_caller_has_left_is_removed(with_cgroups: Make) -> None:
    """By the next process that makes cgroups there."""
    told, tells = os.pipe()

    def be_killed() -> None:
        place = Amounts(Sandbox(memory="64M", processes=8)).new_place()
        os.write(tells, "\n".join(str(each.path) for each in place._cgroups).encode())
        signal.pause()

    with_cgroups(memory="64M", processes=8)  # or skip
    try:
        pid = forked(be_killed)
        paths = [Path(line) for line in os.read(told, 10000).decode().splitlines()]
        assert [path for path in paths if not path.is_dir()] == []
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with_cgroups(memory="32M", processes=4)
        assert [path for path in paths if path.exists()] == []
    finally:
        os.close(told)
        os.close(tells)


def test_a_copy_of_the_process_leaves_them_alone(with_cgroups: Make) -> None:
    """It can neither remove nor use the cgroups of its original."""
    amounts = with_cgroups(memory="64M", processes=8)
    place = amounts.new_place()

    def use() -> None:
        place.close()
        assert not place.kill()
        with pytest.raises(RuntimeError, match="a copy"):
            amounts.new_place()
        amounts.close()

    amounts.new_place().close()  # one is kept for the next
    assert os.waitpid(forked(use), 0)[1] == 0
    assert [each.path for each in place._cgroups if not each.path.is_dir()] == []
    place.close()


def test_a_place_that_is_dropped(with_cgroups: Make) -> None:
    """Its cgroups are removed with it."""
    amounts = with_cgroups(memory="64M")
    place = amounts.new_place()
    paths = [each.path for each in place._cgroups]
    assert [path for path in paths if not path.is_dir()] == []
    del place
    assert [path for path in paths if path.exists()] == []


def test_what_can_be_made_no_more(with_cgroups: Make) -> None:
    """A program is not started without what was promised; nothing is left of the rest."""
    amounts = with_cgroups(memory="64M", processes=8)
    held = amounts.new_place()
    place, controllers = next(iter(amounts._groups.items()))
    amounts._groups |= {place._replace(path="/proc/self"): controllers}
    with pytest.raises(OSError, match="/proc/self"):
        amounts.new_place()
    held.close()


# ---- what limits and the watch do


def test_processes_of_a_user(with_limits: Make) -> None:
    """RLIMIT_NPROC counts those of one user: here of one that has no others."""
    place = with_limits(processes=5).new_place()
    assert place.rlimits == {"NPROC": (6, 6)}
    assert (place.joins, place.entries, place.clone_cgroup) == ([], [], None)
    assert not place.kill()
    place.close()


def test_data_is_limited_with_what_libraries_reserve(with_limits: Make) -> None:
    """40 MiB for each processor, without which OpenBLAS hangs."""
    place = with_limits(memory="64M").new_place()
    much = (64 + 40 * len(os.sched_getaffinity(0))) * MEGABYTE
    assert place.rlimits == {"DATA": (much, much)}
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
        assert with_limits(open_files=100).new_place().rlimits == {"NOFILE": (60, 60)}
        assert with_limits(open_files=40).new_place().rlimits == {"NOFILE": (40, 40)}

    assert os.waitpid(forked(ask), 0)[1] == 0


def test_too_much_output(with_limits: Make) -> None:
    """The caller counts what it reads; the child is killed at the first byte beyond."""
    place = with_limits(output=1000).new_place()
    pid = _start(place, ["/bin/sleep", "1000"])
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
    pid = _start(place, ["/bin/sleep", "1000"])
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
    pid = _start(place, ["/bin/true"])
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
        _, usage = _run_in(place, argv)
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
            assert _run_in(place, ["/bin/true"])[0].success
