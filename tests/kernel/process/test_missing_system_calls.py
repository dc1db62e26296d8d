import errno
import inspect
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ramet

from ...constants import PATIENT_SECONDS
from ...seccomp import hide

# A filter cannot see what is asked of clone3, which lies in memory, and so a sandbox that checks the
# flags hides the call whole: with ENOSYS, or, in older container filters, with EPERM.
HIDDEN = pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM], ids=["ENOSYS", "EPERM"])

Scenario = Callable[[], None]


def run_hidden(call: str, number: int, scenario: Scenario, before: Scenario | None = None) -> None:
    """Run a function of this file, with a call hidden, in an interpreter of its own.

    before: what runs there before the call is hidden.
    """
    first = ""
    if before is not None:
        first = f"{textwrap.dedent(inspect.getsource(before))}\n{before.__name__}()"
    source = "\n".join(
        (
            # What may use the call for its own ends at import has done so by then.
            "import os, ramet, sys",
            f"sys.path.append({str(Path(__file__).parents[3])!r})",
            "from tests.seccomp import hide",
            textwrap.dedent(inspect.getsource(scenario)),
            first,
            f"hide({call!r}, {number})",
            f"{scenario.__name__}()",
        )
    )
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", source],
        capture_output=True,
        text=True,
        timeout=PATIENT_SECONDS,
        env={**os.environ, "HIDDEN_WITH": errno.errorcode[number]},
        check=False,
    )
    assert done.returncode == 0, done.stderr


def copies_work() -> None:
    import os
    import signal

    import ramet
    from ramet import CloneFlag as F

    for flags in (F(0), F.FS, F.FILES, F.SYSVSEM, F.IO, F.UNTRACED, F.VFORK, F.STOPPED, F.DETACHED):
        child = ramet.clone(os.getpid, flags=flags)
        if flags & F.STOPPED:
            child.resume()
        assert child.result(20) == child.pid, flags
        assert child.exit_status is not None
        assert child.exit_status.code == 0, flags
    child = ramet.clone(os.getpid, exit_signal=signal.SIGURG)
    assert child.result(20) == child.pid


def children_have_pidfds() -> None:
    import os
    import signal
    import time

    import ramet
    from ramet import CloneFlag as F

    for flags in (F(0), F.FS):
        child = ramet.clone(time.sleep, 1000, flags=flags)
        assert os.readlink(f"/proc/self/fd/{child.fileno()}") == "anon_inode:[pidfd]"
        child.kill()
        assert child.wait(20).signal == signal.SIGKILL


def forks_work() -> None:
    import os

    import ramet
    from ramet import CloneFlag as F

    for flags in (F(0), F.FS, F.FILES):
        pid = ramet.fork(flags)
        if pid == 0:
            os._exit(5)
        assert os.waitpid(pid, 0) == (pid, 5 << 8), flags


def vforks_work() -> None:
    import os

    import ramet
    from ramet import CloneFlag as F

    thing = object()
    for flags in (F(0), F.FS, F.FILES, F.SIGHAND):
        assert ramet.vfork(lambda: thing, flags=flags).result(20) is thing
    child = ramet.vfork(os.execv, "/bin/sh", ["sh", "-c", "exit 6"])
    assert child.wait(20).code == 6


def namespaces_work() -> None:
    import os

    import ramet
    from ramet import CloneFlag as F

    rights = F(0) if os.geteuid() == 0 else F.NEWUSER
    for flag in (F.NEWNS, F.NEWUTS, F.NEWIPC, F.NEWPID, F.NEWNET, F.NEWCGROUP, F.NEWUSER):
        child = ramet.clone(lambda: os.getpid() == 1, flags=flag | rights)
        assert child.result(20) is (flag is F.NEWPID), flag


def the_low_level_works() -> None:
    import os
    import signal

    from ramet import CloneFlag as F
    from ramet import lowlevel

    stack = lowlevel.Stack(256 * 1024)
    for flags, block in ((F(0), stack), (F.VFORK, None), (F.VM | F.VFORK, None)):
        pid = lowlevel.clone(lambda arg: arg, 7, flags | signal.SIGCHLD, block)
        assert os.waitpid(pid, 0) == (pid, 7 << 8), flags


def shared_memory_works() -> None:
    import os
    import signal

    import ramet
    from ramet import CloneFlag as F

    # Where the call is hidden with EPERM, libc cannot make a thread either, and each such child
    # needs one.
    threads = os.environ["HIDDEN_WITH"] == "ENOSYS"
    handled: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: handled.append(os.getpid()))
    thing = object()
    for flags in (
        F.VM,
        F.VM | F.FS,
        F.VM | F.SIGHAND,
        F.VM | F.SIGHAND | F.THREAD,
        F.VM | F.STOPPED,
    ):
        try:
            child = ramet.clone(lambda: thing, flags=flags)
        except ramet.CloneError as error:
            assert not threads, error
            assert error.errno == 1, error
            continue
        assert threads
        if flags & F.STOPPED:
            child.resume()
        assert child.result(20) is thing, flags
    if threads:
        killed = ramet.clone(signal.pause, flags=F.VM)
        killed.send_signal(signal.SIGUSR1)
        assert killed.wait(20).signal == signal.SIGUSR1
        assert handled == []


def the_rest_says_what_is_needed() -> None:
    import os
    from collections.abc import Callable

    import ramet
    from ramet import CloneFlag as F
    from ramet import lowlevel

    before = sorted(os.listdir("/proc/self/fd"))
    attempts: list[Callable[[], object]] = [
        lambda: ramet.clone(int, flags=F.CLEAR_SIGHAND),
        lambda: ramet.clone(int, flags=F.NEWTIME),
        lambda: ramet.clone(int, set_tid=[12345]),
        lambda: ramet.clone(int, cgroup="/"),
        lambda: ramet.fork(F.CLEAR_SIGHAND),
        lambda: ramet.vfork(int, flags=F.NEWTIME),
    ]
    for number, attempt in enumerate(attempts):
        try:
            attempt()
        except ramet.CloneError as error:
            assert error.errno == 38, (number, error)
            assert "clone3" in str(error), (number, error)
            assert "5.3" in str(error), (number, error)
        else:
            raise AssertionError(f"attempt {number} was granted")
    hidden_with = {"ENOSYS": 38, "EPERM": 1}[os.environ["HIDDEN_WITH"]]
    for flags in (F(0), F.FS):
        try:
            lowlevel.clone3(lowlevel.CloneArgs(flags=flags, exit_signal=17), lambda arg: 0)
        except ramet.CloneError as error:
            assert error.errno == hidden_with, error
        else:
            raise AssertionError("clone3 was made by another call")
    assert sorted(os.listdir("/proc/self/fd")) == before


WITHOUT_CLONE3: list[Scenario] = [
    copies_work,
    children_have_pidfds,
    forks_work,
    vforks_work,
    namespaces_work,
    the_low_level_works,
    shared_memory_works,
]


@HIDDEN
@pytest.mark.parametrize("scenario", WITHOUT_CLONE3, ids=lambda scenario: scenario.__name__)
def test_without_clone3(number: int, scenario: Scenario) -> None:
    """Where clone3 is hidden, all that clone() can do works."""
    run_hidden("clone3", number, scenario)


@HIDDEN
def test_what_only_clone3_can_do_says_so(number: int) -> None:
    """Where clone3 is hidden, what only it can do is an error that names it and its Linux."""
    run_hidden("clone3", number, the_rest_says_what_is_needed)


def clone_calls_of_all_kinds() -> None:
    import os

    import ramet
    from ramet import CloneFlag as F

    for flags in F(0), F.FS, F.VM | F.VFORK:
        assert ramet.clone(int, "5", flags=flags).result(20) == 5
    if os.environ["HIDDEN_WITH"] == "ENOSYS":  # else it would leave a thread for the next one
        assert ramet.clone(int, "5", flags=F.VM).result(20) == 5
    assert ramet.call(["true"]) == 0


@HIDDEN
@pytest.mark.parametrize(
    "scenario",
    [*WITHOUT_CLONE3, the_rest_says_what_is_needed],
    ids=lambda scenario: scenario.__name__,
)
def test_a_filter_that_comes_after_the_first_clone_calls(number: int, scenario: Scenario) -> None:
    """What hides clone3 may come at any time, and what the kernel has said before holds no longer."""
    run_hidden("clone3", number, scenario, clone_calls_of_all_kinds)


def programs_work() -> None:
    import os
    import sys

    import ramet
    from ramet import CloneFlag as F

    # Where clone3 is hidden with EPERM, libc cannot make a thread either, and these need one.
    threads = os.environ["HIDDEN_WITH"] == "ENOSYS" or ramet._core.has_clone3()
    own = [(0, os.geteuid(), 1)]
    gated = ({"start": False}, {"die_with_parent": True}, {"flags": F.NEWUSER, "uid_map": own})
    inheritable = [os.dup(0) for _ in range(40)]
    for descriptor in inheritable:
        os.set_inheritable(descriptor, True)
    kept = inheritable[20]
    # The descriptor that lists the folder is closed by then.
    code = (
        "import os\n"
        "there = lambda n: os.path.exists(f'/proc/self/fd/{n}')\n"
        "print(oct(os.umask(0)), *filter(there, os.listdir('/proc/self/fd')))"
    )
    for options in ({}, {"close_fds": False}, *(gated if threads else ())):
        read, write = os.pipe()
        command = ramet.Command(
            [sys.executable, "-I", "-S", "-c", code],
            stdout=write,
            fds={9: write, kept: 0, inheritable[21]: 2},
            umask=0o27,
            nice=19,
            **options,
        )
        child = command.spawn()
        os.close(write)
        if not options.get("start", True):
            child.start()
        with open(read) as said:
            umask, *numbers = said.read().split()
        assert child.wait(20).code == 0, options
        got = set(map(int, numbers))
        wanted = {0, 1, 2, 9, kept, inheritable[21]}
        assert got == wanted if options.get("close_fds", True) else got > wanted, (options, got)
        assert umask == "0o27"
    try:
        ramet.Command(["/no/such"]).spawn()
    except FileNotFoundError as error:
        assert "execve" in str(error)
    else:
        raise AssertionError("it cannot be there")


@HIDDEN
@pytest.mark.parametrize("call", ["clone3", "close_range"])
def test_programs_without(call: str, number: int) -> None:
    """Where clone3 or close_range is hidden, programs are set up all the same."""
    run_hidden(call, number, programs_work)


@HIDDEN
def test_programs_after_such_a_filter(number: int) -> None:
    """The same for programs."""
    run_hidden("clone3", number, programs_work, clone_calls_of_all_kinds)


plain: ramet.Command
placed: ramet.Command
apart: ramet.Command


@HIDDEN
def test_a_command_from_before_such_a_filter(number: int) -> None:
    """One that was worked out before is made by clone() too, or says which kernel it needs."""

    def before() -> None:
        global plain, placed, apart

        import ramet
        from ramet import CloneFlag as F

        plain = ramet.Command(["true"])
        placed = ramet.Command(["true"], flags=F.NEWTIME)
        apart = ramet.Command(["true"], flags=F.FS, start=False)
        assert plain.spawn().wait(20).success

    def scenario() -> None:
        import os

        import ramet

        for _ in range(2):
            assert plain.spawn().wait(20).success
            if os.environ["HIDDEN_WITH"] == "ENOSYS":  # else libc makes no thread
                child = apart.spawn()
                child.start()
                assert child.wait(20).success
            try:
                placed.spawn()
            except ramet.CloneError as error:
                assert error.errno == 38
                assert "5.3" in str(error)
            else:
                raise AssertionError("only clone3 has NEWTIME")

    run_hidden("clone3", number, scenario, before)


def test_programs_for_which_a_filter_comes_later(nothing_left: object) -> None:
    """A call that this process has, and a thread of it has no longer, is done without in its child."""

    def spawn() -> bool:
        hide("close_range", errno.EPERM)
        return ramet.Command(["true"], fds={30: 0}).spawn().wait(PATIENT_SECONDS).success

    def fn() -> bool:
        with ThreadPoolExecutor(1) as other:
            return other.submit(spawn).result()

    assert ramet.clone(fn).result(PATIENT_SECONDS)  # which keeps in mind what it does without


def pidfds_are_done_without() -> None:
    import os
    import signal
    import time

    import ramet
    from ramet import CloneFlag as F

    child = ramet.clone(time.sleep, 1000)
    assert child.pidfd is None
    try:
        child.wait(0.01)
    except ramet.TimeoutExpired:
        pass
    else:
        raise AssertionError("it has not ended")
    child.kill()
    assert child.wait(20).signal == signal.SIGKILL
    child.kill()
    for flags in (F(0), F.DETACHED):
        assert ramet.clone(os.getppid, flags=flags).result(20) == os.getpid()


def test_without_pidfd_open() -> None:
    """Where a child cannot be opened, it is waited for and killed by its pid."""
    run_hidden("pidfd_open", errno.ENOSYS, pidfds_are_done_without)


@HIDDEN
def test_descriptors_without_pidfd_getfd(number: int) -> None:
    """What lies far up in the caller's table arrives by a copy of it, and nothing is left behind."""

    def scenario() -> None:
        import fcntl

        low, writing = os.pipe()
        far = fcntl.fcntl(writing, fcntl.F_DUPFD_CLOEXEC, 600)
        before = os.listdir("/proc/self/fd")
        for _ in range(3):
            command = ramet.Command(["echo", "here"], stdin=-3, stdout=far)
            assert command.spawn().wait(30).success
            assert os.read(low, 100) == b"here\n"
        assert os.listdir("/proc/self/fd") == before
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            pass
        else:
            raise AssertionError("a child is left")

    run_hidden("pidfd_getfd", number, scenario)


def signals_arrive() -> None:
    import os
    import signal
    import time

    import ramet
    from ramet import CloneFlag as F

    for flags in F(0), F.FS, F.VM, F.VM | F.SIGHAND:
        for end in signal.SIGKILL, signal.SIGTERM:
            child = ramet.clone(time.sleep, 1000, flags=flags)
            child.send_signal(end)
            assert child.wait(20).signal == end or flags & F.VM, (flags, end)
    with ramet.Popen(["sleep", "1000"]) as program:
        program.kill()
        assert program.wait(20) == -signal.SIGKILL
    assert ramet.clone(time.sleep, 1000, flags=F.VM, timeout=0.1).wait(20).signal == signal.SIGKILL
    ended = ramet.clone(os.getpid, flags=F.VM)
    ended.wait(20)
    ended.kill()


@HIDDEN
def test_signals_without_pidfd_send_signal(number: int) -> None:
    """Where the call is hidden, kill(2) reaches a child of any kind, as long as it has not ended."""
    run_hidden("pidfd_send_signal", number, signals_arrive)


def deadlines_are_kept() -> None:
    import contextlib
    import signal
    import time

    import ramet
    from ramet import CloneFlag as F

    for flags in F(0), F.FS, F.VM:
        child = ramet.clone(time.sleep, 1000, flags=flags, timeout=0.1)
        assert child.wait(20).signal == signal.SIGKILL, flags
        assert child.exit_status is not None
        assert child.exit_status.reason == "deadline", flags
    with contextlib.suppress(ramet.TimeoutExpired):
        ramet.run(["sleep", "1000"], timeout=0.1)
    with ramet.Template() as template:
        called = template.clone(time.sleep, 1000, timeout=0.1)
        assert called.wait(20).reason == "deadline"
        assert template.clone(set, "a").result(20) == {"a"}  # it is trusted, as without a filter


def calls_are_cancelled() -> None:
    import concurrent.futures
    import contextlib
    import time

    import ramet

    with ramet.Executor(1) as executor:
        assert executor.submit(divmod, 7, 3).result(20) == (2, 1)
        future = executor.submit(time.sleep, 1000)
        while not future.running():
            pass
        assert future.cancel()
        with contextlib.suppress(concurrent.futures.CancelledError):
            future.result(20)
        assert executor.submit(divmod, 7, 3).result(20) == (2, 1)


@HIDDEN
@pytest.mark.parametrize(
    "scenario", [deadlines_are_kept, calls_are_cancelled], ids=lambda one: one.__name__
)
def test_deadlines_without_pidfd_send_signal(number: int, scenario: Scenario) -> None:
    """Where the call is hidden children, programs and calls end at their deadlines, and when cancelled."""
    run_hidden("pidfd_send_signal", number, scenario)


def a_deadline_is_refused() -> None:
    import os
    import time

    import ramet

    try:
        ramet.clone(time.sleep, 1000, timeout=0.1)
    except OSError as error:
        assert "timeout= needs a pidfd of the child, and pidfd_open(2) failed" in str(error)
        assert error.errno == getattr(__import__("errno"), os.environ["HIDDEN_WITH"])
    else:
        raise AssertionError


@HIDDEN
def test_a_deadline_needs_a_pidfd(number: int) -> None:
    """Where pidfd_open is hidden a deadline is refused, and the error says what it needs."""
    run_hidden("pidfd_open", number, a_deadline_is_refused)


def verbs_arrive() -> None:
    import os
    import signal
    from pathlib import Path
    from typing import Any

    import ramet
    from ramet import CloneFlag as F

    def begin(flags: int) -> Any:
        reading, writing = os.pipe()

        def fn() -> None:
            os.write(writing, b"x")
            while True:
                os.sched_yield()

        child = ramet.clone(fn, flags=flags)
        os.read(reading, 1)
        os.close(reading)
        os.close(writing)
        return child

    def state(child: Any) -> str:
        return Path(f"/proc/{child.pid}/stat").read_text().rpartition(") ")[2][0]

    for flags in F(0), F.VM, F.VM | F.SIGHAND:
        child = begin(flags)
        child.stop()
        while state(child) != "T":
            os.sched_yield()
        child.resume()
        while state(child) == "T":
            os.sched_yield()
        child.kill()
        assert child.wait(20).signal == signal.SIGKILL
        child = begin(flags)
        child.terminate()
        end = child.wait(20)
        assert end.code == 143 if flags & F.VM else end.signal == signal.SIGTERM, end
        child = begin(flags)
        child.kill_tree()
        assert child.wait(20).signal == signal.SIGKILL
    for flags in F.VM, F.VM | F.SIGHAND:
        child = begin(flags)
        assert child.interrupt()
        assert child.wait(20).code == 143


@HIDDEN
def test_all_verbs_without_pidfd_send_signal(number: int) -> None:
    """Where the call is hidden a child and its tree are stopped, interrupted and killed all the same."""
    run_hidden("pidfd_send_signal", number, verbs_arrive)


def a_tree_ends() -> None:
    import os

    import ramet

    # Whoever of them lives has the pipe open.
    reading, writing = os.pipe()
    argv = ["sh", "-c", "sleep 1000 & (sleep 1000; true) & echo x; wait"]
    child = ramet.Popen(argv, stdout=writing)
    os.close(writing)
    os.read(reading, 2)
    child.kill_tree()
    assert os.read(reading, 1) == b""
    child.wait(20)
    os.close(reading)
    try:
        ramet.run(["sh", "-c", "sleep 1000 & wait"], timeout=0.1, kill_tree=True)
    except ramet.TimeoutExpired:
        pass
    else:
        raise AssertionError("it has not timed out")


@HIDDEN
def test_a_tree_without_pidfd_open(number: int) -> None:
    """Where the call is hidden all of a tree are killed: their pids stand for them."""
    run_hidden("pidfd_open", number, a_tree_ends)


def processes_of_a_context_work() -> None:
    import multiprocessing
    import os

    from ramet.multiprocessing import context

    def tell(connection):  # type: ignore[no-untyped-def]
        parent = multiprocessing.parent_process()
        assert parent is not None
        connection.send((parent.pid, parent.is_alive()))

    descriptors = set()
    with context(main="never", spares=0) as made:
        reader, writer = made.Pipe(duplex=False)
        for _ in range(3):
            process = made.Process(target=tell, args=(writer,))
            process.start()
            assert reader.recv() == (os.getpid(), True)
            process.join(20)
            assert process.exitcode == 0
            process.close()
            descriptors.add(len(os.listdir("/proc/self/fd")))
    assert len(descriptors) == 1, descriptors


@HIDDEN
def test_a_context_of_multiprocessing_without_pidfd_open(number: int) -> None:
    """Where the call is hidden its processes know by a pipe whether their parent lives."""
    run_hidden("pidfd_open", number, processes_of_a_context_work)


def sandboxed_programs_end() -> None:
    import select
    import signal
    import subprocess

    import ramet

    sandbox = ramet.Sandbox()

    def ends_when_killed(script: str) -> None:
        reading, writing = os.pipe()
        argv = ["sh", "-c", f"echo >&9; {script}"]
        with ramet.Popen(argv, sandbox=sandbox, fds={9: writing}) as started:
            os.close(writing)
            assert os.read(reading, 1) == b"\n"
            started.kill()
            assert started.wait(20) == -signal.SIGKILL
        assert select.select([reading], [], [], 20)[0]
        assert os.read(reading, 1) == b"", "all that has the pipe open has ended"
        os.close(reading)

    assert ramet.run(["sh", "-c", "exit 3"], sandbox=sandbox).returncode == 3
    ends_when_killed("exec sleep 1000")
    ends_when_killed("sleep 1000 & sleep 1000")
    try:
        ramet.run(["sleep", "1000"], sandbox=sandbox, timeout=0.1)
    except subprocess.TimeoutExpired:
        pass
    else:
        raise AssertionError
    try:
        ramet.run(["no such program"], sandbox=sandbox)
    except FileNotFoundError:
        pass
    else:
        raise AssertionError

    reading, writing = os.pipe()
    caller = os.fork()
    if caller == 0:
        ramet.Popen(["sh", "-c", "sleep 1000 & sleep 1000"], sandbox=sandbox, pass_fds=[writing])
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(writing)
    os.waitpid(caller, 0)
    assert select.select([reading], [], [], 20)[0]
    assert os.read(reading, 1) == b"", "they have ended with their caller"


@HIDDEN
def test_sandboxed_programs_without_pidfd_open(number: int) -> None:
    """Where the call is hidden they run in a pid namespace all the same, and end with their caller."""
    run_hidden("pidfd_open", number, sandboxed_programs_end)


def what_a_sandboxed_program_leaves_ends() -> None:
    import ramet

    reading, writing = os.pipe()
    script = ["sh", "-c", "sleep 1000 & exit 3"]
    started = ramet.Popen(script, sandbox=ramet.Sandbox(), pass_fds=[writing])
    os.close(writing)
    os.waitid(os.P_PID, started.pid, os.WEXITED)  # past the handle, which would end the rest
    assert os.read(reading, 1) == b""


@HIDDEN
def test_what_is_left_of_a_sandbox_without_pidfd_open(number: int) -> None:
    """Where the call is hidden the namespace ends with its program, when that was reaped."""
    run_hidden("pidfd_open", number, what_a_sandboxed_program_leaves_ends)


def large_calls_are_refused() -> None:
    import errno

    import ramet

    before = os.listdir("/proc/self/fd")
    number = getattr(errno, os.environ["HIDDEN_WITH"])
    large = bytes(1 << 20)
    with ramet.Template() as template:
        assert template.clone(len, bytes(100)).result(20) == 100
        try:
            template.clone(len, large)
        except OSError as error:
            assert error.errno == number
            assert "memfd_create(2) is refused" in str(error)
            assert "let the filter allow it" in str(error)
        else:
            raise AssertionError
        try:
            template.clone(bytes, 1 << 20).result(20)
        except ramet.ResultError as error:
            assert "memfd_create(2) is refused" in str(error)
        else:
            raise AssertionError
    with ramet.Executor(1, capture_output=True) as executor:
        failure = executor.submit(os.getpid).exception(20)
        assert isinstance(failure, OSError)
        assert "capture_output=" in str(failure)
    assert os.listdir("/proc/self/fd") == before


@HIDDEN
def test_large_calls_without_memfd_create(number: int) -> None:
    """What takes a file in memory says so, and what to do; small calls work."""
    run_hidden("memfd_create", number, large_calls_are_refused)
