import contextlib
import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import ramet
from ramet import CloneFlag as F
from ramet._kernel import procfs

from ...constants import SECONDS
from ...full_tables import free_descriptors
from ...waiting import alarm

if TYPE_CHECKING:
    from ...conftest import LeakCheck


class Family:
    """Processes that run for ever; each holds the writing end of a pipe, and so its end is seen."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def start(self, script: str, count: int = 1, **options: Any) -> ramet.Popen[bytes]:
        """A shell script; wait until `count` processes have written a line each."""
        child = ramet.Popen(
            ["sh", "-c", script.replace("TELL", f"echo $$ >/proc/self/fd/{self.writing}")],
            pass_fds=[self.writing],
            **options,
        )
        self.wait_for(count)
        return child

    def wait_for(self, count: int) -> list[bytes]:
        """Wait until so many lines have come."""
        lines: list[bytes] = []
        while len(lines) < count:
            lines += os.read(self.reading, 4096).splitlines()
        return lines

    def is_dead(self) -> bool:
        """Whether nobody holds the pipe any more: at once, since those who died are gone."""
        os.close(self.writing)
        self.writing = -1
        os.set_blocking(self.reading, False)
        try:
            while os.read(self.reading, 4096):
                pass
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self.reading)
        if self.writing >= 0:
            os.close(self.writing)


@pytest.fixture
def family(nothing_left: object) -> Iterator[Family]:
    """A family of its own for each test, all of which must be dead in the end."""
    with contextlib.closing(Family()) as made:
        yield made


FOREVER = "exec sleep 1000"


def test_a_tree_is_killed(family: Family) -> None:
    """Children and grandchildren die with the child, also in sessions of their own."""
    leaf = f"sh -c 'TELL; {FOREVER}' & setsid sh -c 'TELL; {FOREVER}' &"
    child = family.start(f"{leaf} (trap '' TERM HUP INT; {leaf} wait) & wait", count=4)
    child.kill_tree(SECONDS)
    assert family.is_dead()
    assert child.wait() == -signal.SIGKILL


def test_a_tree_of_more_than_there_are_descriptors_for(family: Family) -> None:
    """All die, and none of them is waited for in vain."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = {int(name) for name in os.listdir("/proc/self/fd")}
    free = [number for number in range(len(opened) + 40) if number not in opened]
    leaf = f"setsid sh -c 'TELL; {FOREVER}' &"  # no SIGHUP comes to a group that is orphaned
    child = family.start(f"i=0; while [ $((i += 1)) -le 60 ]; do {leaf} done; wait", count=60)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1], hard))
    try:
        child.kill_tree(SECONDS)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert family.is_dead()
    assert child.wait() == -signal.SIGKILL


def test_a_tree_that_cannot_be_seen_is_none_that_was_killed(family: Family) -> None:
    """Where no descriptor is free to list it by, the error says so."""
    child = family.start(f"sh -c 'TELL; {FOREVER}' & wait", count=0)
    (leaf,) = map(int, family.wait_for(1))
    with (
        free_descriptors(1),  # for the child's pidfd
        pytest.raises(OSError, match="Too many open files") as caught,
    ):
        child.kill_tree(SECONDS)
    assert caught.value.errno == errno.EMFILE
    assert child.wait() == -signal.SIGKILL
    os.kill(leaf, signal.SIGKILL)
    os.close(family.writing)
    family.writing = -1
    assert os.read(family.reading, 1) == b""


def test_a_vfork_parent_does_not_hold_it_up(family: Family) -> None:
    """A process that sleeps in vfork until its child execs is killed, and so is the child."""
    script = f"""
import os, signal, ramet
def tell():
    os.write({family.writing}, b"x\\n")
    os.read({family.reading}, 1 << 20) if False else __import__("signal").pause()
ramet.vfork(tell)
"""
    child = ramet.Popen([sys.executable, "-c", script], pass_fds=[family.writing, family.reading])
    family.wait_for(1)
    child.kill_tree(SECONDS)
    assert family.is_dead()
    child.wait()


# A tree that never stands still: each has two children, those at the bottom end, their parents end
# when both have, and the first goes on for ever. Every second one leads a session. At most 63 live.
STORM = r"""
import os, sys
writing = int(sys.argv[1])
os.set_blocking(writing, False)  # who listens soon does so no more
def tell():
    try:
        os.write(writing, b"x\n")
    except BlockingIOError:
        pass
def grow(depth):
    while True:
        children = []
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                os.write(writing, b"x\\n")
                if depth % 2:
                    os.setsid()
                if depth == 4:
                    os._exit(0)
                grow(depth + 1)
            children.append(pid)
        for pid in children:
            os.waitpid(pid, 0)
        if depth > 1:
            os._exit(0)
grow(0)
"""


@pytest.mark.parametrize("attempt", range(5))
def test_a_fork_storm_does_not_escape(family: Family, attempt: int) -> None:
    """Nobody escapes by forking without pause while the tree is killed."""
    child = ramet.Popen(
        [sys.executable, "-c", STORM, str(family.writing)], pass_fds=[family.writing]
    )
    family.wait_for(40)
    child.kill_tree(SECONDS)
    assert family.is_dead()
    assert child.wait() == -signal.SIGKILL


def test_a_child_that_ended_has_no_tree(family: Family) -> None:
    """It does no harm to a child that has ended, reaped or not."""
    child = family.start("TELL")
    ramet.wait([child])
    child.kill_tree()
    assert child.wait() == 0
    child.kill_tree()
    assert family.is_dead()


def test_a_function_and_what_it_started(family: Family) -> None:
    """A child that runs a function is killed with the programs that it started."""

    def work() -> None:
        subprocess.run(["sh", "-c", f"echo >&0; {FOREVER}"], stdin=family.writing, check=False)

    for flags in (0, F.VM):
        child = ramet.clone(work, flags=flags)
        family.wait_for(1)
        child.kill_tree(SECONDS)
        assert child.wait().signal == signal.SIGKILL
    assert family.is_dead()


def test_a_thread_has_no_tree_of_its_own(nothing_left: object) -> None:
    """A child that is a thread of this process is refused, since its tree is this process's."""
    may_end = threading.Event()
    with ramet.clone(may_end.wait, flags=F.VM | F.SIGHAND | F.THREAD) as child:
        with pytest.raises(ValueError, match="thread"):
            child.kill_tree()
        may_end.set()


def test_a_namespace_dies_with_its_init(family: Family) -> None:
    """In a pid namespace of its own even who forked twice dies with the child."""
    daemon = f"(setsid sh -c 'TELL; {FOREVER}' &)"
    child = family.start(f"{daemon}; wait; {FOREVER}", flags=F.NEWPID | F.NEWUSER)
    child.kill_tree(SECONDS)
    assert family.is_dead()
    assert child.wait() == -signal.SIGKILL


# ---- children reparented to a subreaper

DAEMON = f"(setsid sh -c 'TELL; {FOREVER}' &) "


def test_reparented_children_are_killed(family: Family) -> None:
    """Inside a Subreaper block a double fork does not escape, and no zombie is left of it."""
    with ramet.Subreaper() as subreaper:
        child = family.start(f"{DAEMON}; {DAEMON}; TELL; {FOREVER}", count=3)
        spared = subprocess.Popen(["sleep", "1000"])
        subreaper.spare(spared.pid)
        other = ramet.Popen(["sleep", "1000"])
        assert len(subreaper.pids()) == 2
        child.kill_tree(SECONDS, orphans=subreaper)
        assert family.is_dead()
        assert subreaper.pids() == []
        assert spared.poll() is None
        assert other.poll() is None
        assert child.wait() == -signal.SIGKILL
        for left in (spared, other):
            left.kill()
            left.wait()


def test_reparented_children_of_a_child_that_ended(family: Family) -> None:
    """What a child left that has ended and was reaped is found by the block alone."""
    with ramet.Subreaper() as subreaper:
        assert family.start(DAEMON).wait() == 0
        assert len(subreaper.pids()) == 1
        assert subreaper.kill(SECONDS) is True
        assert subreaper.pids() == []
        assert family.is_dead()


def test_without_a_subreaper_they_are_left_alone(family: Family) -> None:
    """A kill that was not given the subreaper does not touch them: they may be another child's."""
    with ramet.Subreaper() as subreaper:
        child = family.start(f"{DAEMON}; {FOREVER}")
        child.kill_tree(SECONDS)
        child.wait()
        assert len(subreaper.pids()) == 1
        subreaper.kill(SECONDS)
        assert family.is_dead()


def test_a_child_that_is_a_subreaper(family: Family) -> None:
    """The tree of a child that is a subreaper itself is whole, without any setting here."""

    def start() -> None:
        ramet.set_subreaper(True)
        os.set_inheritable(family.writing, True)
        script = DAEMON.replace("TELL", f"echo >/proc/self/fd/{family.writing}")
        os.execv("/bin/sh", ["sh", "-c", f"{script}; {FOREVER}"])

    child = ramet.clone(start)
    family.wait_for(1)
    child.kill_tree(SECONDS)
    assert family.is_dead()
    assert child.wait().signal == signal.SIGKILL


def test_the_setting_is_restored(nothing_left: object) -> None:
    """After the block the process is what it was before, also when blocks lie within each other."""
    assert not ramet.is_subreaper()
    with ramet.Subreaper():
        with ramet.Subreaper():
            assert ramet.is_subreaper()
        assert ramet.is_subreaper()
    assert not ramet.is_subreaper()


def test_programs_of_ours_are_not_reparented(nothing_left: object) -> None:
    """A program that Ramet has started inside the block is spared, whichever way it was started."""
    with ramet.Subreaper() as subreaper:
        command = ramet.Command(["sleep", "1000"])
        with command.spawn() as child, ramet.Popen(["sleep", "1000"]) as process:
            assert not {child.pid, process.pid} & set(subreaper.pids())
            process.kill()


def test_children_from_before_are_not_reparented(nothing_left: object) -> None:
    """A child from before the block, or made by another thread, is not taken for a reparented one."""
    with subprocess.Popen(["sleep", "1000"]) as before, ramet.Subreaper() as subreaper:
        made: list[subprocess.Popen[bytes]] = []
        may_end = threading.Event()

        def work() -> None:
            made.append(subprocess.Popen(["sleep", "1000"]))
            started.set()
            may_end.wait()

        started = threading.Event()
        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        assert subreaper.pids() == []
        subreaper.kill()
        for process in (before, *made):
            assert process.poll() is None
            process.kill()
            process.wait()
        may_end.set()
        thread.join()


# ---- cgroups


def start_in(cgroup: Path, family: Family, script: str) -> ramet.Child[None]:
    def start() -> None:
        os.set_inheritable(family.writing, True)
        text = script.replace("TELL", f"echo >/proc/self/fd/{family.writing}")
        os.execv("/bin/sh", ["sh", "-c", text])

    return ramet.clone(start, cgroup=cgroup)


def test_a_cgroup_of_its_own_is_killed(cgroup: Path, family: Family) -> None:
    """Everybody in the cgroup dies, also a task reparented long before, whose ancestor is gone."""
    child = start_in(cgroup, family, DAEMON)
    family.wait_for(1)
    assert child.wait().code == 0
    child.kill_tree(SECONDS)
    assert family.is_dead()
    assert "populated 0" in (cgroup / "cgroup.events").read_text()


@pytest.mark.parametrize("options", [{}, {"die_with_parent": True}])
def test_a_cgroup_of_a_program(cgroup: Path, family: Family, options: dict[str, Any]) -> None:
    """So does a program that is made there by its option, and all that it started."""
    child = family.start(f"{DAEMON}; {FOREVER}", cgroup=cgroup, **options)
    child.kill_tree(SECONDS)
    assert family.is_dead()
    assert child.wait() == -signal.SIGKILL


def test_a_cgroup_shared_with_others_is_not_killed(cgroup: Path, family: Family) -> None:
    """A child made among others takes none of them along: its tree is walked."""
    neighbours = Family()
    with start_in(cgroup, neighbours, f"TELL; {FOREVER}") as first:
        neighbours.wait_for(1)
        with start_in(cgroup, family, f"sh -c 'TELL; {FOREVER}' & wait") as second:
            family.wait_for(1)
            second.kill_tree(SECONDS)
            assert family.is_dead()
            assert second.wait().signal == signal.SIGKILL
        assert first.poll() is None
        first.kill_tree(SECONDS)
        assert neighbours.is_dead()
    neighbours.close()


# ---- what can go wrong


def test_the_time_may_be_up(monkeypatch: pytest.MonkeyPatch, family: Family) -> None:
    """When somebody is not dead in time the error says so, and the signals have been sent."""
    child = family.start(f"sh -c 'TELL; {FOREVER}' & wait")
    monkeypatch.setattr("ramet._kernel.pidfd.wait_any", lambda *_: [])
    with pytest.raises(ramet.TimeoutExpired):
        child.kill_tree(0)
    monkeypatch.undo()
    assert child.wait(SECONDS) == -signal.SIGKILL
    with pytest.raises(ValueError, match="0 seconds or more"):
        child.kill_tree(-1)
    os.close(family.writing)
    family.writing = -1
    assert os.read(family.reading, 1) == b""


def test_without_proc_only_the_child_dies(monkeypatch: pytest.MonkeyPatch, family: Family) -> None:
    """Where /proc is of another namespace nobody else's pid is taken for one of the tree."""
    child = family.start(f"TELL; {FOREVER}")
    monkeypatch.setattr(procfs, "shows_own_pids", lambda: False)
    with pytest.raises(RuntimeError, match="/proc"):
        child.kill_tree(SECONDS)
    assert child.wait() == -signal.SIGKILL
    assert family.is_dead()


def test_a_kernel_that_lists_no_children(monkeypatch: pytest.MonkeyPatch, family: Family) -> None:
    """Without CONFIG_PROC_CHILDREN the tree is found by a look at all processes."""
    monkeypatch.setattr(
        procfs, "children_of_thread", lambda pid, thread: procfs._children_by_search(pid)
    )
    child = family.start(f"sh -c 'TELL; {FOREVER}' & (sh -c 'TELL; {FOREVER}' & wait) & wait", 2)
    child.kill_tree(SECONDS)
    assert family.is_dead()
    child.wait()


def test_who_may_not_be_killed_is_named(root: None, family: Family) -> None:
    """A plain user cannot kill a set-user-ID program; the others die, and the error names it."""
    shell = f"sh -c 'TELL; {FOREVER}' & wait"
    child = family.start(shell)

    def kill_as_another() -> str:
        os.setuid(65534)
        try:
            child.kill_tree(SECONDS)
        except PermissionError as error:
            return str(error)
        return ""

    assert str(child.pid) in ramet.clone(kill_as_another).result(SECONDS)
    child.kill_tree(SECONDS)
    assert family.is_dead()
    child.wait()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_under_a_loop(backend: str, family: Family, nothing_left: "LeakCheck") -> None:
    """A process under asyncio or trio has it, too."""
    script = f"sh -c 'TELL; {FOREVER}' & wait"
    script = script.replace("TELL", f"echo >/proc/self/fd/{family.writing}")

    async def warm_up() -> None:
        await ramet.aio.run(["true"])
        await anyio.to_thread.run_sync(int)

    async def main() -> None:
        argv = ["sh", "-c", script]
        async with await ramet.aio.open_process(argv, pass_fds=[family.writing]) as process:
            await anyio.wait_readable(family.reading)
            await process.kill_tree(SECONDS)
            assert family.is_dead()
            assert await process.wait() == -signal.SIGKILL

    anyio.run(warm_up, backend=backend)
    nothing_left.start_again()  # a thread for clone calls is kept, and trio keeps its threads for a while
    anyio.run(main, backend=backend)


# ---- the end of a time


@pytest.fixture(params=["ramet.run", "ramet.call", "asyncio", "trio"])
def library(request: pytest.FixtureRequest, nothing_left: "LeakCheck") -> str:
    """Each that can end a program for want of time."""

    async def warm_up() -> None:
        await ramet.aio.run(["true"])
        await anyio.to_thread.run_sync(int)

    if request.param in {"asyncio", "trio"}:
        anyio.run(warm_up, backend=request.param)
        nothing_left.start_again()  # a thread for clone calls is kept, and trio keeps its threads a while
    return str(request.param)


def out_of_time(library: str, script: str, **options: Any) -> ramet.TimeoutExpired:
    """What is raised when the time of a shell script is over."""
    argv = ["sh", "-c", script]

    async def run() -> None:
        await ramet.aio.run(argv, stdout=subprocess.PIPE, **options)

    ways: dict[str, Callable[[], object]] = {
        "ramet.run": lambda: ramet.run(argv, stdout=subprocess.PIPE, **options),
        "ramet.call": lambda: ramet.call(argv, **options),
        "asyncio": lambda: anyio.run(run),
        "trio": lambda: anyio.run(run, backend="trio"),
    }
    with pytest.raises(ramet.TimeoutExpired) as caught:
        ways[library]()
    return caught.value


def tells(family: Family) -> str:
    """A line of shell by which a process of the family says that it is there."""
    return f"echo x >/proc/self/fd/{family.writing}"


@pytest.mark.parametrize("grace", [None, 0.2])
def test_at_the_end_of_its_time_the_tree_is_killed(
    library: str, grace: float | None, family: Family
) -> None:
    """With kill_tree nobody is left when the time is over, however deaf to SIGTERM."""
    leaf = f"setsid sh -c 'trap \"\" TERM; {tells(family)}; sleep 1000; sleep 1000' &"
    script = f"{leaf} (trap '' TERM; {leaf} wait) & wait"
    options = {"pass_fds": [family.writing], "timeout": 0.5, "kill_after": grace}
    out_of_time(library, script, kill_tree=True, **options)
    assert family.is_dead()


@pytest.mark.parametrize("kill_tree", [False, True])
def test_at_the_end_of_its_time_it_is_asked_first(
    library: str, kill_tree: bool, family: Family
) -> None:
    """With kill_after it gets SIGTERM and that time, and what it says then is in the error."""
    script = f"trap 'echo bye; {tells(family)}; exit' TERM; echo hi; while :; do :; done"
    options: dict[str, Any] = {"pass_fds": [family.writing], "kill_tree": kill_tree}
    expired = out_of_time(library, script, timeout=0.5, kill_after=SECONDS, **options)
    assert family.wait_for(1) == [b"x"]
    if library != "ramet.call":
        assert expired.output == b"hi\nbye\n"
    assert family.is_dead()


def test_a_stopped_one_is_asked_too(library: str, family: Family) -> None:
    """SIGCONT comes along, so that one that is stopped can end as it was asked."""
    script = f"trap '{tells(family)}; exit' TERM; kill -STOP $$"
    options: dict[str, Any] = {"pass_fds": [family.writing], "timeout": 0.3}
    out_of_time(library, script, kill_after=SECONDS, **options)
    assert family.wait_for(1) == [b"x"]
    assert family.is_dead()


def test_who_has_its_pipe_does_not_hold_up_its_end(library: str, nothing_left: object) -> None:
    """Once the program has ended nobody waits for the rest of the grace."""
    reading, writing = os.pipe()
    script = f"sleep 1000 & echo $! >/proc/self/fd/{writing}; trap exit TERM; wait"
    begun = time.monotonic()
    out_of_time(library, script, timeout=0.2, kill_after=1000, pass_fds=[writing])
    assert time.monotonic() - begun < SECONDS
    os.kill(int(os.read(reading, 99)), signal.SIGKILL)
    for end in (reading, writing):
        os.close(end)


def test_an_interrupt_during_the_grace_kills_at_once(family: Family) -> None:
    """An exception that ends the wait leaves no process behind."""
    script = f"trap '' TERM; {tells(family)}; sleep 1000 & wait; sleep 1000"
    options: dict[str, Any] = {"pass_fds": [family.writing], "kill_tree": True}
    with pytest.raises(InterruptedError), alarm(1.0):
        ramet.run(["sh", "-c", script], timeout=0.2, kill_after=1000, **options)
    family.wait_for(1)
    assert family.is_dead()


def test_a_grace_that_is_no_time(library: str, nothing_left: object) -> None:
    """It is refused before anything is made."""
    with pytest.raises(ValueError, match="invalid kill_after: expected 0 seconds or more, got -1"):
        out_of_time(library, "exit", timeout=1, kill_after=-1)


def test_what_is_left_of_a_deadline_that_is_over(library: str, nothing_left: object) -> None:
    """A negative timeout is over at once, as in subprocess.run()."""
    assert out_of_time(library, "exec sleep 1000", timeout=-0.5).timeout == -0.5
