"""How a test in a clone fails, and what is said of it."""

import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from ramet._limits.memory import MemoryLimits

from ...constants import SECONDS
from ...looking import state_of
from ...waiting import until
from .conftest import Suite

DEATHS = """
    import ctypes, os, signal, sys
    import pytest

    def test_that_crashes():
        print("before the crash", flush=True)
        ctypes.string_at(8)

    def test_that_leaves_the_interpreter():
        os._exit(3)

    def test_that_is_killed():
        os.kill(os.getpid(), signal.SIGKILL)

    @pytest.fixture
    def crashing_setup():
        os.abort()

    def test_in_its_setup(crashing_setup):
        pass

    @pytest.fixture
    def crashing_teardown():
        yield
        os.abort()

    def test_in_its_teardown(crashing_teardown):
        pass

    def test_after_them():
        pass
"""


def test_a_death_fails_one_test(suite: Suite, nothing_left: object) -> None:
    """It says how it died, in which phase, and where in Python, with what was printed; the others go on."""
    suite.write(DEATHS)
    result = suite.run("--ramet")
    result.assert_outcomes(passed=2, failed=3, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_in_its_setup*",
            "killed by SIGABRT in its setup",
            "*line * in crashing_setup",
            "*ERROR at teardown of test_in_its_teardown*",
            "killed by SIGABRT in its teardown",
            "*line * in crashing_teardown",
            "*_ test_that_crashes _*",
            "killed by SIGSEGV in its call",
            "Fatal Python error: Segmentation fault",
            "Current thread *",
            "*line * in string_at",
            "*line * in test_that_crashes",
            "*Captured stdout call*",
            "before the crash",
            "*_ test_that_leaves_the_interpreter _*",
            "exited with 3 in its call",
            "*_ test_that_is_killed _*",
            "killed by SIGKILL in its call",
        ],
    )
    result.stdout.no_fnmatch_line("*_pytest/*")


HANGS = """
    import os, subprocess, sys, threading, time
    import pytest

    PROGRAM = '''if 1:
        import os, time
        os.fork()
        os.setsid() if os.fork() else None
        os.write(1, f"{os.getpid()}{chr(10)}".encode())
        time.sleep(1000)
    '''

    @pytest.mark.ramet(timeout=1)
    @pytest.mark.parametrize("where", ["call", "thread"])
    def test_that_hangs(where):
        print("before the hang", flush=True)
        started = subprocess.Popen([sys.executable, "-S", "-c", PROGRAM], stdout=subprocess.PIPE)
        pids = [started.stdout.readline() for _ in range(4)]
        with open("started", "ab") as file:
            file.writelines(pids)
        if where == "thread":
            thread = threading.Thread(target=time.sleep, args=(1000,))
            thread.start()
            thread.join()
        time.sleep(1000)
"""


def test_a_hang_ends_at_its_deadline(suite: Suite, nothing_left: object) -> None:
    """With it ends all that it has started; the report has the stack of each thread."""
    suite.write(HANGS)
    result = suite.run()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "killed at its deadline of 1 s in its call; killed with it: *import os, time os.fork()*",
            "*line * in test_that_hangs",
            "before the hang",
            "killed at its deadline of 1 s in its call*",
            "*hread 0x*",
            "*line * in join",
            "*line * in test_that_hangs",
        ]
    )
    pids = (suite.path / "started").read_text().split()
    assert len(pids) == 8
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}")


def test_what_a_signal_interrupts_fails_at_its_deadline(suite: Suite) -> None:
    """A call that returns when the stack is asked for lets the test end, which failed all the same."""
    suite.write(
        """
        import ctypes
        import pytest

        @pytest.mark.ramet(timeout=1)
        @pytest.mark.parametrize("number", range(4))
        def test_that_waits_in_c(number):
            print("before the hang")
            ctypes.CDLL(None).poll(None, 0, 30000)
        """
    )
    result = suite.run("--ramet", "-p", "no:xdist", "-n", "4")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "killed at its deadline of 1 s in its call*",
            "*line * in test_that_waits_in_c",
            "before the hang",
        ]
    )


LEAKS = """
    import multiprocessing, multiprocessing.shared_memory, os, subprocess, sys, time
    from ramet._testing import left_processes

    def test_that_leaves_a_program():
        subprocess.Popen(["sleep", "1000"])

    def test_that_leaves_a_daemon():
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.write(writer, str(os.getpid()).encode())
                time.sleep(1000)
            os._exit(0)
        os.wait()
        with open("daemon", "wb") as file:
            file.write(os.read(reader, 32))

    def test_that_ends_what_it_starts():
        with subprocess.Popen(["sleep", "1000"]) as sleeper:
            sleeper.kill()

    def test_that_does_not_wait():
        subprocess.Popen(["sleep", "1000"]).terminate()
        subprocess.Popen(["true"])

    def test_whose_process_leaves_another_as_it_ends():
        command = "read line; setsid sleep 1001 & echo $! > left"
        shell = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE)
        wait = left_processes._end_within

        def end_it_and_wait(*given):  # once it has been found
            shell.stdin.close()
            return wait(*given)

        left_processes._end_within = end_it_and_wait

    def test_that_uses_servers_of_multiprocessing():
        memory = multiprocessing.shared_memory.SharedMemory(create=True, size=100)
        memory.unlink()
        memory.close()
        process = multiprocessing.get_context("forkserver").Process(target=os.getpid)
        process.start()
        process.join()
"""


def test_a_process_that_is_left_fails_its_test(suite: Suite, nothing_left: object) -> None:
    """It is named, and killed; one that ends by itself, and a server of multiprocessing, is none.

    What one that ends by itself has started meanwhile is one that is left.
    """
    suite.write(LEAKS)
    result = suite.run("--ramet")
    for left in ("daemon", "left"):
        assert not os.path.exists(f"/proc/{(suite.path / left).read_text().strip()}")
    result.assert_outcomes(passed=6, errors=3)
    result.stdout.fnmatch_lines(
        [
            "left running at the test's end, and killed: * sleep (sleep 1000)",
            "left running at the test's end, and killed: * (*pytest*)",
            "left running at the test's end, and killed: * sleep (sleep 1001)",
        ]
    )


SOCKETS = """
    import multiprocessing
    from multiprocessing.util import get_temp_dir

    def note_directory():
        process = multiprocessing.get_context("forkserver").Process(target=abs, args=(-1,))
        process.start()
        process.join()
        with open("directories", "a") as file:
            print(get_temp_dir(), file=file)

    def test_that_passes():
        note_directory()

    def test_that_fails():
        note_directory()
        assert False
"""
OF_SESSION = """
    from multiprocessing.util import get_temp_dir

    def pytest_configure():
        get_temp_dir()

    def pytest_unconfigure():
        assert get_temp_dir() == open("directories").read().split()[0]
        assert __import__("os").path.isdir(get_temp_dir())
"""


@pytest.mark.parametrize("whose", ["clone", "session"])
def test_the_directory_of_multiprocessings_sockets_is_removed(whose: str, suite: Suite) -> None:
    """With the clone that has made it; one that the session has made stays as long as the session."""
    suite.write(SOCKETS)
    if whose == "session":
        suite.write(OF_SESSION, "conftest")
    result = suite.run("--ramet")
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    directories = (suite.path / "directories").read_text().split()
    assert len(set(directories)) == (2 if whose == "clone" else 1)
    assert [each for each in directories if os.path.exists(each)] == []


JOBLIB = """
    import os, subprocess
    import joblib
    import pytest

    def note():
        with open("pids", "a") as file:
            file.write(f"{os.getpid()} ")

    @pytest.mark.parametrize("leaves", [False, True])
    def test_in_parallel(leaves):
        with open("folders", "a") as folders:
            folders.write(f"{os.getpid()} ")
        joblib.Parallel(n_jobs=2)(joblib.delayed(note)() for _ in range(4))
        if leaves:
            subprocess.Popen(["sleep", "1000"])
"""


@pytest.mark.skipif(find_spec("joblib") is None, reason="needs joblib")
def test_workers_of_joblib_are_none_that_are_left(suite: Suite, nothing_left: object) -> None:
    """They end with their test, and their tracker removes what they had in /dev/shm."""
    suite.write(JOBLIB)
    result = suite.run("--ramet")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.re_match_lines(
        ["left running at the test's end, and killed: [0-9]+ sleep .*0\\)$"]
    )
    for pid in (suite.path / "pids").read_text().split():
        assert not os.path.exists(f"/proc/{pid}")
    for clone in (suite.path / "folders").read_text().split():
        until(lambda clone=clone: not [*Path("/dev/shm").glob(f"*-{clone}-*")], SECONDS)  # type: ignore[misc]


TEMPLATES = """
    import os, subprocess, sys, time
    import pytest
    import ramet, ramet.multiprocessing

    kept = []

    def fork():
        pid = os.fork()
        if pid == 0:
            time.sleep(1000)
        return pid

    def start():
        return subprocess.Popen(["sleep", "1000"]).pid

    def test_process():
        process = ramet.multiprocessing.context().Process(target=os.getpid)
        process.start()
        process.join()

    def test_template():
        kept.append(ramet.Template())
        kept[0].clone(os.getpid).result()

    def test_call_that_forks():
        kept.append(ramet.Template())
        pid = kept[0].clone(fork).result()
        with open("forked", "w") as file:
            file.write(str(pid))

    def test_executor():
        kept.append(ramet.Executor())
        kept[0].submit(os.getpid).result()
        kept[0].submit(time.sleep, 1000)

    def test_that_leaves_a_program():
        kept.append(ramet.Template())
        kept[0].clone(start).result()
"""


def test_templates_are_none_that_are_left(suite: Suite, nothing_left: object) -> None:
    """They end with the test's process, as servers of multiprocessing do; a program of a call is one."""
    suite.write(TEMPLATES)
    result = suite.run("--ramet")
    result.assert_outcomes(passed=5, errors=1)
    forked = (suite.path / "forked").read_text()
    until(lambda: state_of(forked) in {"", "Z"})  # who adopts it may take a moment to reap it
    result.stdout.re_match_lines(
        ["left running at the test's end, and killed: [0-9]+ sleep .*0\\)$"]
    )


DEEP_REPORTS = """
    def pytest_runtest_makereport():
        go_down(200)

    def go_down(levels):
        if levels:
            go_down(levels - 1)
"""

RECURSION = """
    import sys

    def test_that_limits_the_depth():
        sys.setrecursionlimit(150)

    def test_after_it():
        pass
"""


def test_a_tiny_recursion_limit_costs_its_test_alone(suite: Suite, nothing_left: object) -> None:
    """Pytest cannot make the report of it there: how deep that goes is another for each Python."""
    suite.write(DEEP_REPORTS, "conftest")
    suite.write(RECURSION)
    result = suite.run("--ramet")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.re_match_lines([".*could not make its reports at a recursion limit of 150 "])


MEMORY = """
    import mmap, time
    import pytest

    pytestmark = pytest.mark.ramet(memory="64M", timeout=60)

    def test_that_takes_too_much():
        kept = []
        while True:
            kept.append(bytearray(b"x" * (1 << 20)))

    def test_that_takes_too_much_of_what_is_shared():
        memory = mmap.mmap(-1, 256 << 20)
        memory.write(b"x" * (32 << 20))
        memory.write(b"x" * (32 << 20))
        memory.write(b"x" * (32 << 20))
        time.sleep(1000)

    @pytest.mark.ramet(memory=100 << 20)
    def test_that_takes_little():
        bytearray(b"x" * (10 << 20))
"""


def test_memory_is_limited(suite: Suite, nothing_left: object) -> None:
    """A test beyond its memory is killed; without a cgroup a MemoryError may come before."""
    suite.write(MEMORY)
    result = suite.run()
    result.assert_outcomes(passed=1, failed=2)
    told = "^killed at its memory limit of 64M in its call$"  # the summary has it once more, after a name
    deaths = len(re.findall(told, result.stdout.str(), re.MULTILINE))
    errors = re.findall("^E +MemoryError", result.stdout.str(), re.MULTILINE)
    assert deaths + len(errors) == 2
    assert deaths >= 1


GREEDY_CHILD = """
    import subprocess, sys
    import pytest

    pytestmark = pytest.mark.ramet(memory="64M", timeout=60)

    def run_greedy():
        print("before it")
        program = "kept = b'x' * (200 << 20)"
        subprocess.run([sys.executable, "-S", "-c", program])

    def test_that_does_not_look():
        run_greedy()

    def test_that_fails():
        run_greedy()
        assert False

    @pytest.mark.xfail(strict=True)
    def test_that_is_to_fail():
        run_greedy()
        assert False

    def test_after_it():
        pass
"""


def test_memory_of_what_a_test_starts_is_limited(suite: Suite, nothing_left: object) -> None:
    """Where the kernel kills a process that the test has started, the test fails, and says why."""
    with MemoryLimits(64 << 20) as limits:
        if limits.version is None:
            pytest.skip("needs a cgroup in which others can be made")
    suite.write(GREEDY_CHILD)
    result = suite.run()
    result.assert_outcomes(passed=1, failed=2, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "a process that it started was killed at its memory limit of 64M",
            "before it",
            "*- Memory -*",
            "a process that it started was killed at its memory limit of 64M",
        ]
    )


NO_CGROUPS = """
    import ramet._limits.memory
    ramet._limits.memory.find_place = lambda: None
"""

THREADS = """
    import resource, threading
    import pytest

    outside, _ = resource.getrlimit(resource.RLIMIT_DATA)

    @pytest.mark.ramet(memory="100M", timeout=60)
    def test_that_starts_threads():
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] != outside
        event, started = threading.Event(), []
        try:
            while True:
                started.append(threading.Thread(target=event.wait, daemon=True))
                started[-1].start()
        except RuntimeError:
            kept = []
            while True:  # until there is nothing left for a report
                kept.append(" " * 100)

    @pytest.mark.ramet
    def test_whose_reports_cannot_be_made(request):
        def makereport(item, call):
            raise MemoryError

        request.config.pluginmanager.register(type("Plugin", (), {
            "pytest_runtest_makereport": staticmethod(pytest.hookimpl(tryfirst=True)(makereport)),
        }))

    @pytest.mark.ramet
    def test_after_them():
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == outside
"""


def test_reports_are_made_beyond_the_limit_of_memory(suite: Suite, nothing_left: object) -> None:
    """A test without a cgroup that has taken all fails alone, and so does one whose reports need more."""
    suite.write(NO_CGROUPS, "conftest")
    suite.write(THREADS)
    result = suite.run()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.re_match_lines_random(
        [
            "^(E +MemoryError|killed at its memory limit of 100M in its call)",
            "^could not make its reports for want of memory in its call$",
        ]
    )


NETWORK = """
    import os, socket
    import pytest

    ids = os.getresuid(), os.getresgid()

    @pytest.mark.parametrize("number", [1, 2])
    @pytest.mark.ramet(net=True)
    def test_of_its_own(number):
        assert [name for _, name in socket.if_nameindex()] == ["lo"]
        with socket.create_server(("127.0.0.1", 7777)) as server:
            socket.create_connection(server.getsockname()).close()
        assert (os.getresuid(), os.getresgid()) == ids

    @pytest.mark.ramet
    def test_of_the_session():
        assert os.stat("/proc/self/ns/net").st_ino == os.stat(f"/proc/{os.getppid()}/ns/net").st_ino
"""


def test_a_network_of_its_own(suite: Suite, nothing_left: object) -> None:
    """With net=True a test has a loopback device that works, nothing else, and the ids that it had."""
    suite.write(NETWORK)
    suite.run().assert_outcomes(passed=3)


def test_what_the_kernel_refuses_fails_the_test(suite: Suite, nothing_left: object) -> None:
    """No clone, no test: an error of its setup says why."""
    suite.write(
        """
        import ctypes, errno, os, pytest
        import ramet._testing.running_test

        ctypes.CFUNCTYPE(None)(print)  # at the first of them libffi opens its own file, as on Debian 14

        def refuse(*args, **options):
            raise ramet.CloneError(errno.EAGAIN, "too many processes")

        def held():
            return len(os.listdir("/proc/self/fd"))

        before = held()

        @pytest.mark.parametrize("number", [1, 2])
        def test_it(number, monkeypatch):
            pass

        @pytest.fixture(autouse=True, scope="module")
        def no_clones():
            ramet._testing.running_test.clone = refuse

        @pytest.mark.ramet(clone=False)
        def test_last():
            assert held() == before
        """
    )
    result = suite.run("--ramet")
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["no clone was made: EAGAIN: too many processes"])


def test_a_fork_that_returns_is_no_second_test(suite: Suite, nothing_left: object) -> None:
    """What a test forks, and lets return from it, is told of nowhere; its own part is as ever."""
    suite.write(
        """
        import os

        def test_it():
            if os.fork() == 0:
                assert False
            os.wait()
        """
    )
    suite.run("--ramet").assert_outcomes(passed=1)


STOPS = """
    import os, signal
    import pytest

    def test_first():
        pass

    def test_that_stops(request):
        {how}

    def test_after_it():
        pass
"""


@pytest.mark.parametrize(
    ("how", "code", "line"),
    [
        ("pytest.exit('enough', 7)", 7, "*Exit: enough*"),
        ("raise KeyboardInterrupt", 2, "*KeyboardInterrupt*"),
        ("request.session.shouldstop = 'enough'", 2, "*Interrupted: enough*"),
        ("assert False", 0, ""),
    ],
    ids=["exit", "interrupt", "shouldstop", "failure"],
)
def test_a_test_can_stop_the_session(how: str, code: int, line: str, suite: Suite) -> None:
    """pytest.exit(), an interrupt and session.shouldstop in a clone stop the session as ever."""
    suite.write(STOPS.format(how=how))
    result = suite.run("--ramet")
    if line:
        assert result.ret == code
        result.stdout.fnmatch_lines([line])
    else:
        result.assert_outcomes(passed=2, failed=1)


IN_A_CYCLE = """
    import subprocess, sys

    class Program:
        def __init__(self):
            self.started = subprocess.Popen(["sleep", "1000"])
            self.end = self.finish

        def finish(self):
            self.started.kill()
            self.started.wait()

        __del__ = finish

    def test_that_passes():
        Program()

    def test_that_fails():
        program = Program()
        assert 0

    def test_that_keeps_it():
        sys.program = Program()
"""


def test_what_garbage_ends_at_its_end_is_not_left(suite: Suite) -> None:
    """Whether or not the collector has come to it before; what is still held is left."""
    suite.write(IN_A_CYCLE)
    result = suite.run("--ramet")
    result.assert_outcomes(passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(["ERROR test_it.py::test_that_keeps_it - Failed: left running*"])


STOPS_WITH_FIXTURE = """
    import subprocess
    import pytest

    @pytest.fixture
    def resource():
        started = subprocess.Popen(["sleep", "1000"])
        yield
        with open("torn_down", "w") as file:
            file.write(str(started.pid))
        {teardown}

    def test_that_stops(resource):
        {how}
"""


@pytest.mark.parametrize("how", ["pytest.exit('enough', 7)", "raise KeyboardInterrupt"])
@pytest.mark.parametrize("teardown", ["pass", "assert False, 'not torn down'"])
def test_who_stops_the_session_is_torn_down(how: str, teardown: str, suite: Suite) -> None:
    """Its fixtures of function scope are, with an error of theirs told; what it left running is ended."""
    suite.write(STOPS_WITH_FIXTURE.format(how=how, teardown=teardown))
    result = suite.run("--ramet")
    assert result.ret == (7 if "exit" in how else pytest.ExitCode.INTERRUPTED)
    assert not Path("/proc", (suite.path / "torn_down").read_text()).exists()
    result.stdout.no_fnmatch_line("*left running*")
    if teardown != "pass":
        result.stdout.fnmatch_lines(["*1 error*"])
    if "exit" in how:
        return  # pytest shows no details then
    result.stdout.re_match_lines([r".*KeyboardInterrupt: .*test_.*\.py:\d+"])
    if teardown != "pass":
        result.stdout.fnmatch_lines(["*ERROR at teardown of test_that_stops*", "*not torn down*"])


ENDLESS = """
    import os, time
    import pytest

    @pytest.fixture
    def resource():
        yield
        open(f"torn_down{os.getpid()}", "w").close()

    @pytest.mark.parametrize("number", [1, 2])
    def test_without_end(number, resource):
        with open(f"pid{number}.new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(f"pid{number}.new", f"pid{number}")
        time.sleep(1000)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_clones_end_with_their_session(number: signal.Signals, suite: Suite) -> None:
    """Ctrl-C ends the session and its clones, whose fixtures are torn down, and a SIGKILL leaves none."""
    suite.write(ENDLESS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "ramet",
        "-p",
        "no:xdist",
        "--ramet",
        "-n",
        "2",
    ]
    with subprocess.Popen(command, cwd=suite.path, stdout=subprocess.PIPE) as session:
        try:
            places = [suite.path / f"pid{one}" for one in (1, 2)]
            until(lambda: all(map(Path.exists, places)), SECONDS)
            pidfds = [os.pidfd_open(int(place.read_text())) for place in places]
            session.send_signal(number)
            told = session.communicate(timeout=SECONDS)[0]
        finally:
            session.kill()
    for pidfd in pidfds:
        until(lambda pidfd=pidfd: _has_ended(pidfd), SECONDS)  # type: ignore[misc]
        os.close(pidfd)
    is_told = re.search(rb"KeyboardInterrupt: .*test_.*\.py:\d+", told) is not None
    torn_down = len([*suite.path.glob("torn_down*")])
    assert (is_told, torn_down) == ((True, 2) if number == signal.SIGINT else (False, 0))


def test_an_interrupt_at_the_clone_call_is_not_lost(suite: Suite) -> None:
    """Python drops what a fork handler raises: a Ctrl-C that comes meanwhile is raised after it.

    The clone is interrupted as any other, whose test has a fixture to tear down.
    """
    suite.write(
        """
        import os, signal, time

        def interrupt():
            while not os.path.exists("begun"):
                time.sleep(0)
            os.kill(os.getpid(), signal.SIGINT)

        os.register_at_fork(after_in_parent=interrupt)
        """,
        "conftest",
    )
    suite.write(
        """
        import os, signal
        import pytest

        @pytest.fixture
        def resource():
            yield
            os.rename("begun", "torn_down")

        def test_it(resource):
            open("begun", "w").close()
            signal.pause()
        """
    )
    result = suite.run("--ramet")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*KeyboardInterrupt*"])
    assert (suite.path / "torn_down").exists()


def _has_ended(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    return False


SLOW_THEN_NOT_RUN = """
    import select
    import pytest

    def test_that_fails():
        select.select([], [], [], 0.3)
        assert False

    @pytest.mark.skip
    def test_last():
        pass
"""


def test_what_still_runs_at_the_last_test_is_told(suite: Suite) -> None:
    """With several at a time, also where that one needs no clone."""
    suite.write(SLOW_THEN_NOT_RUN)
    result = suite.run("-p", "no:xdist", "--ramet", "-n", "2")
    result.assert_outcomes(failed=1, skipped=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


REPLACED = """
    import json, os
    from unittest import mock
    import pytest

    @pytest.fixture(params=["os.write", "os.getpid", "json.dumps", "json.JSONEncoder.encode"])
    def replaced(request):
        with mock.patch(request.param, return_value="1"):
            yield

    def test_it(replaced):
        assert False
"""


def test_no_report_is_lost_where_a_fixture_replaces_what_writes_it(suite: Suite) -> None:
    """One that is, since it was written otherwise, is told."""
    suite.write(REPLACED)
    result = suite.run("--ramet")
    result.assert_outcomes(failed=3, errors=1)
    result.stdout.fnmatch_lines(["lost 2 of 3 reports, which its process could not write*"])


@pytest.mark.parametrize(
    "how",
    ["os.closerange(3, 300)", "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"],
    ids=["descriptors", "file size"],
)
def test_who_cannot_write_reports_is_told_of(how: str, suite: Suite) -> None:
    """The test has passed, and the clone ends, but the session learns nothing of it."""
    suite.write(
        f"""
        import os, resource

        def test_it():
            {how}

        def test_after_it(): pass
        """
    )
    result = suite.run("--ramet")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["could not write down how it ended (does the test close*"])


ODD_PROPERTIES = """
    class NoText:
        def __str__(self):
            raise ValueError
        __repr__ = __str__

    def test_a_circle(record_property):
        circle = []
        circle.append(circle)
        record_property("circle", circle)

    def test_no_text(record_property):
        record_property("no text", NoText())
"""


def test_properties_that_have_no_text_end_nothing(suite: Suite) -> None:
    """Pytest itself takes any."""
    suite.write(ODD_PROPERTIES)
    suite.run("--ramet").assert_outcomes(passed=2)


UNITTEST_SUBTESTS = """
    import unittest

    class Cases(unittest.TestCase):
        def test_some(self):
            for i in range(3):
                with self.subTest(i=i):
                    self.assertNotEqual(i, 1)
"""


def test_subtests_of_unittest_count_as_without_a_clone(suite: Suite) -> None:
    """Its test does not fail once more, and each is called by the values as they are."""
    suite.write(UNITTEST_SUBTESTS)
    plain = suite.run()
    cloned = suite.run("--ramet")
    assert cloned.parseoutcomes() == plain.parseoutcomes()
    for run in (plain, cloned):
        run.stdout.fnmatch_lines(["SUBFAILED?i=1?*"])
