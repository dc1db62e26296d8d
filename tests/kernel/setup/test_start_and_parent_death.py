import gc
import os
import select
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Self

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import Command, SpawnError

from ...constants import NOBODY, SECONDS
from ...waiting import until

# A process that makes a child with options, says its pid, and waits to be killed.
CALLER = """
import os, sys, threading
from ramet import CloneFlag, Command
children = []
def spawn():
    children.append(Command({argv}, **{options}).spawn())
if {in_thread}:
    thread = threading.Thread(target=spawn)
    thread.start()
    thread.join()
else:
    spawn()
print(children[0].pid, flush=True)
if {execs}:
    sys.stdin.buffer.raw.read(1)
    os.execl("/bin/sh", "sh", "-c", "echo again; read line")
sys.stdin.read()
os._exit(0)
"""


class Caller:
    """Such a process: its child's pid, and a pidfd of it that outlives both."""

    def __init__(
        self, argv: list[str], options: dict[str, Any], *, in_thread: bool, execs: bool = False
    ) -> None:
        self._stdin, stdin = os.pipe()
        stdout, said = os.pipe()
        code = CALLER.format(argv=argv, options=options, in_thread=in_thread, execs=execs)
        command = Command([sys.executable, "-c", code], stdin=self._stdin, stdout=said)
        self.process = command.spawn()
        self._held = stdin
        os.close(said)
        with open(stdout) as file:
            self.grandchild = int(file.readline())
            self.pidfd = os.pidfd_open(self.grandchild)  # before the exec, with which it may end
            if execs:
                os.write(self._held, b"x")
                assert file.readline() == "again\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            pass
        if not self.child_ends(0):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        for descriptor in (self._stdin, self._held, self.pidfd):
            os.close(descriptor)

    def child_ends(self, seconds: float) -> bool:
        """Whether the grandchild ends within that time."""
        return bool(select.select([self.pidfd], [], [], seconds)[0])


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


# ---- start=False


def test_it_is_complete_and_waits(tmp_path: Path, nothing_left: object) -> None:
    """All is set up before the start, and nothing of the program has run."""
    made = tmp_path / "made"
    before = set(os.listdir("/proc/self/task"))
    command = Command(
        ["touch", str(made)], start=False, cwd="/", umask=0o77, nice=19, process_group=0
    )
    with command.spawn() as child:
        assert child.poll() is None
        assert os.readlink(f"/proc/{child.pid}/cwd") == "/"
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == 19
        assert os.getpgid(child.pid) == child.pid
        assert set(os.listdir("/proc/self/task")) <= before
        assert not made.exists()
        child.start()
        assert child.wait(SECONDS).success
    assert made.exists()


def test_it_is_started_once(nothing_left: object) -> None:
    """A second start is an error, and so is that of a child which never waited."""
    with Command(["true"], start=False).spawn() as child:
        child.start()
        with pytest.raises(ValueError, match=r"does not wait for start\(\)"):
            child.start()
        assert child.wait(SECONDS).success
    with Command(["true"]).spawn() as child, pytest.raises(ValueError, match="does not wait"):
        child.start()


def test_a_wait_that_would_not_end_is_refused(nothing_left: object) -> None:
    """Without a timeout nobody waits for a child that waits for its start, unless it has ended."""
    with Command(["true"], start=False).spawn() as child:
        with pytest.raises(ValueError, match=r"waits for start\(\)"):
            child.wait()
        with pytest.raises(ramet.TimeoutExpired):
            child.wait(0)
        child.start()
        assert child.wait().success
    with Command(["true"], start=False).spawn() as child:
        child.kill()
        assert child.wait().signal == signal.SIGKILL
    with Command(["true"], start=False).spawn() as child:
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.wait().signal == signal.SIGKILL


def test_the_start_tells_of_a_program_that_is_not_there(nothing_left: object) -> None:
    """A failed exec is told by start(), and the child is gone then."""
    child = Command(["/no/such"], start=False).spawn()
    with pytest.raises(FileNotFoundError, match="execve"):
        child.start()
    assert child.exit_status is not None
    assert child.exit_status.code == 127


def test_an_earlier_step_is_told_by_spawn(nothing_left: object) -> None:
    """What fails before the child waits is told where it is made."""
    with pytest.raises(FileNotFoundError, match="chdir"):
        Command(["true"], cwd="/no/such", start=False).spawn()


def test_killed_before_its_start(tmp_path: Path, nothing_left: object) -> None:
    """A child that is killed during its setup has ended by that signal, and never runs."""
    made = tmp_path / "made"
    with Command(["touch", str(made)], start=False).spawn() as child:
        child.kill()
        assert child.wait(SECONDS).signal == signal.SIGKILL
        with pytest.raises(SpawnError, match="killed by SIGKILL") as caught:
            child.start()
        assert isinstance(caught.value, ProcessLookupError)
        assert caught.value.step == "start"
        assert child.wait(SECONDS).signal == signal.SIGKILL
    assert not made.exists()


@pytest.mark.parametrize("flags", [F(0), F.STOPPED])
def test_killed_just_before_its_start(flags: F, tmp_path: Path, nothing_left: object) -> None:
    """Nobody need have noticed its end: start() finds it out, and the program has not run."""
    made = tmp_path / "made"
    for _ in range(20):
        with Command(["touch", str(made)], start=False, flags=flags).spawn() as child:
            os.kill(child.pid, signal.SIGKILL)
            if flags:  # which start() does not wait for
                os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            with pytest.raises(ProcessLookupError, match="killed by SIGKILL"):
                child.start()
    assert not made.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_before_its_start_ends_it(number: signal.Signals, nothing_left: object) -> None:
    """A child that waits for its start has the signal mask of its program already."""
    with Command(["true"], start=False).spawn() as child:
        child.send_signal(number)
        assert child.wait(SECONDS).signal == number
        with pytest.raises(ProcessLookupError, match=f"killed by {number.name}"):
            child.start()


def test_a_signal_that_its_program_blocks_waits_for_it(nothing_left: object) -> None:
    """It is pending then, as for any program that begins so."""
    program = ["grep", "-q", "ShdPnd:.*4000$", "/proc/self/status"]
    with Command(program, start=False, signal_mask=[signal.SIGTERM]).spawn() as child:
        child.send_signal(signal.SIGTERM)
        child.start()
        assert child.wait(SECONDS).success


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"flags": F.SIGHAND},
        {"flags": F.STOPPED},
        {"signal_mask": [signal.SIGTERM]},
        {"ignored_signals": [signal.SIGTERM]},
        {"die_with_parent": True},
        {"flags": F.NEWUSER, "uid_map": [(0, os.geteuid(), 1)]},
    ],
    ids=str,
)
def test_terminated_before_its_start(options: dict[str, Any], nothing_left: object) -> None:
    """It ends, and does not wait for ever for a start that nobody will give."""
    with Command(["true"], start=False, **options).spawn() as child:
        child.terminate(0.05)
        assert child.wait(SECONDS).signal in {signal.SIGTERM, signal.SIGKILL}
    process = ramet.Popen(["true"], start=False, **options)
    process.terminate()
    assert process.wait(SECONDS) in {-signal.SIGTERM, -signal.SIGKILL}


def test_left_before_its_start(tmp_path: Path, nothing_left: object) -> None:
    """Leaving the block kills and reaps a child that was never started."""
    made = tmp_path / "made"
    with Command(["touch", str(made)], start=False).spawn():
        pass
    assert not made.exists()


@pytest.mark.filterwarnings("ignore:child .* was never waited for:ResourceWarning")
def test_forgotten_before_its_start(nothing_left: object) -> None:
    """A child that nobody can start any more is killed, and reaped by the next one's clone call."""
    child = Command(["true"], start=False).spawn()
    pidfd = os.pidfd_open(child.pid)
    del child
    gc.collect()
    assert select.select([pidfd], [], [], SECONDS)[0]
    os.close(pidfd)
    assert Command(["true"]).spawn().wait(SECONDS).success


@pytest.mark.parametrize("start", [True, False])
def test_a_caller_that_is_killed_takes_the_waiting_child_along(
    start: bool, nothing_left: object
) -> None:
    """A child before its start ends with its caller; one that runs goes on."""
    with Caller(["sleep", "1000"], {"start": start}, in_thread=False) as caller:
        caller.process.kill()
        assert caller.process.wait(SECONDS).signal == signal.SIGKILL
        # There is no event for what does not happen: half a second is a look, not a wait.
        assert caller.child_ends(0.5 if start else SECONDS) == (not start)


def test_a_fork_cannot_start_it(nothing_left: object) -> None:
    """A copy of the handle in another process says so; it does not wait for ever."""
    with Command(["true"], start=False).spawn() as child:
        pid = os.fork()
        if pid == 0:
            try:
                child.start()
            except ValueError:
                os._exit(7)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 7 << 8
        child.start()
        assert child.wait(SECONDS).success


def test_many_wait_at_a_time(nothing_left: object) -> None:
    """Children wait beside each other and are started in any order."""
    command = Command(["sh", "-c", "exit $1", "sh"], start=False)
    children = [command.spawn() for _ in range(10)]
    for child in reversed(children):
        child.start()
    assert [child.wait(SECONDS).code for child in children] == [0] * 10


def test_all_of_it_waits(nothing_left: object, root: None) -> None:
    """Namespaces, maps and an identity are there before the start as well."""
    command = Command(
        ["true"],
        start=False,
        flags=F.NEWUSER | F.NEWPID | F.NEWUTS | F.NEWNET,
        uid_map=[(0, 100000, 65536)],
        gid_map=[(0, 100000, 65536)],
        hostname="inside",
        loopback=True,
        user=5,
        group=6,
        extra_groups=[],
    )
    with command.spawn() as child:
        status = status_of(child.pid)
        assert status["Uid"].split() == ["100005"] * 4
        assert status["Gid"].split() == ["100006"] * 4
        child.start()
        assert child.wait(SECONDS).success


# ---- what comes when the parent ends


def spawned_by_a_thread(command: Command) -> ramet.Child[None]:
    """A child whose maker has ended; join() alone returns before the kernel's thread is gone."""
    made: list[ramet.Child[None]] = []
    tids: list[int] = []

    def spawn() -> None:
        tids.append(threading.get_native_id())
        made.append(command.spawn())

    thread = threading.Thread(target=spawn)
    thread.start()
    thread.join()
    while Path(f"/proc/self/task/{tids[0]}").exists():
        os.sched_yield()
    return made[0]


def test_pdeathsig_comes_with_the_end_of_the_thread(nothing_left: object) -> None:
    """The signal is sent when the thread that made the child ends, though the process goes on."""
    with spawned_by_a_thread(Command(["sleep", "1000"], pdeathsig="USR1")) as child:
        assert child.wait(SECONDS).signal == signal.SIGUSR1


@pytest.mark.parametrize("user", [None, NOBODY])
def test_die_with_parent_follows_the_process(
    user: int | None, request: pytest.FixtureRequest, nothing_left: object
) -> None:
    """A child that dies with its parent is not touched by the end of the thread that made it."""
    if user is not None:
        request.getfixturevalue("root")
    (read, write), (answer, to_answer) = os.pipe(), os.pipe()
    command = Command(["cat"], stdin=read, stdout=to_answer, die_with_parent=True, user=user)
    with spawned_by_a_thread(command) as child:
        os.write(write, b"alive")
        assert os.read(answer, 5) == b"alive"
        for descriptor in (read, write, answer, to_answer):
            os.close(descriptor)
        assert child.wait(SECONDS).success


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("options", [{}, {"start": False}])
def test_die_with_parent_when_it_is_killed(
    in_thread: bool, options: dict[str, Any], nothing_left: object
) -> None:
    """SIGKILL for the caller is the end of the child, whichever thread made it."""
    options = {"die_with_parent": True, **options}
    with Caller(["sleep", "1000"], options, in_thread=in_thread) as caller:
        caller.process.kill()
        assert caller.process.wait(SECONDS).signal == signal.SIGKILL
        assert caller.child_ends(SECONDS)


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("options", [{}, {"oom_score_adj": 900}])
def test_die_with_parent_and_an_exec(
    in_thread: bool, options: dict[str, Any], nothing_left: object
) -> None:
    """The process goes on when its main thread execs: so does the child, until the process ends.

    In another thread a helper stays for a child with a score of its own, and ends at the exec.
    """
    ends = in_thread and bool(options)
    options = {"die_with_parent": True, **options}
    with Caller(["sleep", "1000"], options, in_thread=in_thread, execs=True) as caller:
        # There is no event for what does not happen: half a second is a look, not a wait.
        assert caller.child_ends(SECONDS if ends else 0.5) == ends
        caller.process.kill()
        assert caller.child_ends(SECONDS)


@pytest.mark.parametrize("in_thread", [False, True])
def test_an_exec_ends_a_child_that_waits_for_its_start(
    in_thread: bool, nothing_left: object
) -> None:
    """Nobody could start it any more, and it would keep the memory that the exec has left."""
    with Caller(["sleep", "1000"], {"start": False}, in_thread=in_thread, execs=True) as caller:
        assert caller.child_ends(SECONDS)
        assert caller.process.poll() is None


@pytest.mark.parametrize("options", [{"die_with_parent": True}, {"start": False}])
def test_no_thread_stays_for_such_a_child(options: dict[str, Any], nothing_left: object) -> None:
    """A child that follows the process is the main thread's, whichever thread has asked for it."""
    before = set(os.listdir("/proc/self/task"))
    with spawned_by_a_thread(Command(["sleep", "1000"], **options)) as child:
        # One that was joined is still seen for a moment, and one from before may go.
        until(lambda: set(os.listdir("/proc/self/task")) <= before)
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        assert str(child.pid) in children


def test_die_with_parent_and_a_change_of_user(root: None, nothing_left: object) -> None:
    """The signal is asked for after the change of identity, which would clear it."""
    options = {"die_with_parent": True, "user": NOBODY, "group": NOBODY}
    with Caller(["sleep", "1000"], options, in_thread=False) as caller:
        caller.process.kill()
        assert caller.child_ends(SECONDS)


def test_pdeathsig_when_the_process_is_killed(nothing_left: object) -> None:
    """The signal comes with the end of the whole process, too."""
    with Caller(["sleep", "1000"], {"pdeathsig": "TERM"}, in_thread=False) as caller:
        caller.process.kill()
        assert caller.child_ends(SECONDS)


def test_pdeathsig_of_a_child_that_waited(nothing_left: object) -> None:
    """A child that was started later gets it with the end of the process."""
    options = {"pdeathsig": "TERM", "flags": F.NEWUSER.value, "uid_map": [(0, os.geteuid(), 1)]}
    with Caller(["sleep", "1000"], options, in_thread=False) as caller:
        assert not caller.child_ends(0)
        caller.process.kill()
        assert caller.child_ends(SECONDS)


def test_children_that_die_with_their_parent_end_on_their_own(nothing_left: object) -> None:
    """Nothing stays for such a child when it has ended, whichever thread has made it."""
    for command in (
        Command(["true"], die_with_parent=True),
        Command(["true"], die_with_parent=True, oom_score_adj=900),
    ):
        for _ in range(20):
            assert command.spawn().wait(SECONDS).success
            assert spawned_by_a_thread(command).wait(SECONDS).success


CHANGES_ITS_USER = """
import os, threading
from ramet import CloneFlag, Command
ready, over = threading.Event(), threading.Event()
def other():
    if {in_thread}:
        children.append(command.spawn())
    ready.set()
    over.wait()
children = []
command = Command(["sleep", "1000"], **{options})
thread = threading.Thread(target=other)
thread.start()
ready.wait()
if not {in_thread}:
    children.append(command.spawn())
with children[0]:
    os.setgid(os.getgid())
    os.setuid(os.getuid())
    over.set()
    thread.join()
"""


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"die_with_parent": True},
        {"die_with_parent": True, "oom_score_adj": 900},
        {"start": False},
        {"start": False, "oom_score_adj": 900},
        {"flags": F.STOPPED.value},
    ],
)
def test_a_caller_may_change_its_user_beside_such_a_child(
    options: dict[str, Any], in_thread: bool, nothing_left: object
) -> None:
    """The C library asks each of its threads to change along: none of them is one that sleeps."""
    script = CHANGES_ITS_USER.format(options=options, in_thread=in_thread)
    with Command([sys.executable, "-c", script]).spawn() as process:
        assert process.wait(SECONDS).success


def test_two_signals_for_one_place(nothing_left: object) -> None:
    """die_with_parent is a SIGKILL: another pdeathsig beside it is refused."""
    with pytest.raises(ValueError, match="invalid pdeathsig with die_with_parent"):
        Command(["true"], die_with_parent=True, pdeathsig="TERM")
    Command(["true"], die_with_parent=True, pdeathsig="KILL")
