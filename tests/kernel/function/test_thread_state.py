"""What libc and Python believe of a task in shared memory is true."""

import ctypes
import faulthandler
import functools
import gc
import io
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import ChildDied, ExitStatus
from ramet import CloneFlag as F
from ramet._process.unreaped import reap_ended, unreaped

from ...activities import thread_that_hangs
from ...constants import SECONDS, repeated

LIBC = ctypes.CDLL(None, use_errno=True)
THREAD = F.VM | F.SIGHAND | F.THREAD
SHARING = pytest.mark.parametrize("flags", [F.VM, F.VM | F.VFORK, THREAD], ids=str)
CARRIED = pytest.mark.parametrize("flags", [F.VM, F.VM | F.SIGHAND, THREAD], ids=str)
PROCESSES = pytest.mark.parametrize("flags", [F.VM, F.VM | F.VFORK], ids=str)


def call(fn: Callable[..., Any], *args: Any, flags: F = F.VM) -> Any:
    return ramet.clone(fn, *args, flags=flags).result(SECONDS)


@SHARING
def test_its_ids_are_its_own(flags: F) -> None:
    """getpid() and gettid() are the kernel's, from Python and from libc."""

    def fn() -> tuple[int, ...]:
        tid = int(os.readlink("/proc/thread-self").rpartition("/")[2])
        return os.getpid(), LIBC.getpid(), threading.get_native_id(), LIBC.gettid(), tid

    pid, libc_pid, tid, libc_tid, kernel_tid = call(fn, flags=flags)
    assert pid == libc_pid
    assert tid == libc_tid == kernel_tid


@SHARING
def test_the_processor_is_the_one_it_is_on(flags: F) -> None:
    """sched_getcpu() does not read what the kernel noted for another thread (rseq)."""

    def fn() -> list[int]:
        seen = []
        for cpu in sorted(os.sched_getaffinity(0))[:2]:
            os.sched_setaffinity(0, {cpu})
            seen.append(LIBC.sched_getcpu() == cpu)
        return seen

    mine = os.sched_getaffinity(0)
    assert False not in call(fn, flags=flags)
    os.sched_setaffinity(0, mine)
    assert LIBC.sched_getcpu() in mine


@pytest.mark.parametrize("flags", [F.VM, F.VM | F.FILES], ids=str)
def test_a_robust_mutex_is_given_up(flags: F, nothing_left: object) -> None:
    """Who dies, or ends, holding a robust mutex leaves it to the next, who is told so."""
    for end in (lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: None):
        attributes, mutex = ctypes.create_string_buffer(64), ctypes.create_string_buffer(128)
        LIBC.pthread_mutexattr_init(attributes)
        LIBC.pthread_mutexattr_setrobust(attributes, 1)
        LIBC.pthread_mutex_init(mutex, attributes)

        def fn(mutex: Any = mutex, end: Callable[[], None] = end) -> None:
            assert LIBC.pthread_mutex_lock(mutex) == 0
            end()

        ramet.clone(fn, flags=flags).wait(SECONDS)
        assert LIBC.pthread_mutex_lock(mutex) == 130  # EOWNERDEAD
        # Else our own list of such mutexes would lead into a buffer that is not there any more.
        assert LIBC.pthread_mutex_consistent(mutex) == 0
        assert LIBC.pthread_mutex_unlock(mutex) == 0


@CARRIED
def test_a_name(flags: F, nothing_left: object) -> None:
    """name= is what the kernel shows, and what threading and logging say."""

    def fn() -> tuple[str, str, str]:
        stream = io.StringIO()
        logger = logging.Logger("test")
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(threadName)s"))
        logger.addHandler(handler)
        logger.warning("said")
        comm = Path("/proc/thread-self/comm").read_text()
        return comm.strip(), threading.current_thread().name, stream.getvalue().strip()

    child = ramet.clone(fn, flags=flags, name="a worker with a long name")
    assert child.result(SECONDS) == ("a worker with a", *["a worker with a long name"] * 2)
    assert threading.current_thread().name == "MainThread"


@pytest.mark.parametrize("flags", [F(0), F.VM | F.VFORK], ids=str)
def test_a_name_of_other_kinds(flags: F) -> None:
    """A copy and a vfork child have the name for the kernel; the caller's threads keep theirs."""
    mine = Path("/proc/thread-self/comm").read_text()

    def fn() -> str:
        return Path("/proc/thread-self/comm").read_text().strip()

    assert ramet.clone(fn, flags=flags, name="worker").result(SECONDS) == "worker"
    assert Path("/proc/thread-self/comm").read_text() == mine
    assert threading.current_thread().name == "MainThread"
    with pytest.raises(ValueError, match="null"):
        ramet.clone(fn, flags=flags, name="a\0b")


@CARRIED
def test_handlers_are_refused(flags: F) -> None:
    """signal.signal() would change the caller's table of handlers, and says why it does not."""
    with pytest.raises(ValueError, match="main thread"):
        call(signal.signal, signal.SIGUSR1, signal.SIG_IGN, flags=flags)


def recurse() -> object:
    return recurse()


def represent() -> object:
    return repr(functools.reduce(lambda inner, _: [inner], range(200_000), list[Any]()))


def dump() -> object:
    nested: list[Any] = []
    for _ in range(200_000):
        nested = [nested]
    return pickle.dumps(nested)


def map_in_map(value: object = None) -> object:
    return list(map(map_in_map, [value]))


class Compared:
    def __lt__(self, other: object) -> bool:
        return bool(sorted([Compared(), Compared()]))


def sort() -> object:
    return sorted([Compared(), Compared()])


@pytest.mark.parametrize("stack_size", [None, 8 << 20], ids=["default", "least"])
@pytest.mark.parametrize("fn", [recurse, represent, dump, map_in_map, sort])
def test_recursion_ends_in_an_exception(
    fn: Callable[[], object], stack_size: int | None, nothing_left: object
) -> None:
    """Recursion without end is RecursionError and no crash, in Python and in C."""
    with pytest.raises(RecursionError):
        ramet.clone(fn, flags=F.VM, stack_size=stack_size).result(SECONDS)


@pytest.mark.parametrize("fn", [recurse, represent, dump, map_in_map])
def test_recursion_on_the_callers_stack(fn: Callable[[], object]) -> None:
    """The same in a vfork child, which is on what is left of its caller's stack."""
    with pytest.raises(RecursionError):
        call(fn, flags=F.VM | F.VFORK)


@SHARING
def test_it_can_make_processes(flags: F, nothing_left: object) -> None:
    """os.fork(), subprocess and os.system() work in it."""

    def fn() -> tuple[int, bytes, int]:
        pid = os.fork()
        if pid == 0:
            os._exit(7)
        return (
            os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]),
            subprocess.run(["echo", "hi"], capture_output=True, check=True).stdout,
            os.waitstatus_to_exitcode(os.system("exit 3")),
        )

    assert call(fn, flags=flags) == (7, b"hi\n", 3)


@SHARING
def test_tracing_and_profiling(flags: F) -> None:
    """A function may trace and profile itself, and its caller is not traced."""

    def fn() -> set[str]:
        events: set[str] = set()
        sys.settrace(lambda frame, event, arg: events.add(event))
        sys.setprofile(lambda frame, event, arg: events.add(f"profile {event}"))
        len(str(os.getpid()))
        Path("a").with_name("b")
        sys.settrace(None)
        sys.setprofile(None)
        return events

    assert {"call", "profile call", "profile c_call"} <= call(fn, flags=flags)
    assert sys.getprofile() is None


@SHARING
def test_faulthandler_shows_its_stack(flags: F, tmp_path: Path) -> None:
    """A traceback asked for in the child shows the child's function."""

    def a_function_of_its_own() -> str:
        with open(tmp_path / "dump", "w") as file:
            faulthandler.dump_traceback(file)
        return (tmp_path / "dump").read_text()

    assert "a_function_of_its_own" in call(a_function_of_its_own, flags=flags)


@PROCESSES
def test_a_segmentation_fault_is_the_childs(flags: F, nothing_left: object) -> None:
    """SIGSEGV in the function is ChildDied, and the caller goes on."""
    with pytest.raises(ChildDied, match="SIGSEGV"):
        call(ctypes.string_at, 8, flags=flags)


@PROCESSES
def test_it_waits_for_its_threads(flags: F, nothing_left: object) -> None:
    """Threads that the function started end before it, as at the end of any program."""
    done: list[int] = []

    def work() -> None:
        for number in range(10_000):
            done.extend([number])

    def fn() -> str:
        for _ in range(3):
            threading.Thread(target=work).start()
        return "returned"

    child = ramet.clone(fn, flags=flags)
    assert child.result(SECONDS) == "returned"
    assert child.exit_status == ExitStatus(code=0, reason="exited")
    assert len(done) == 30_000
    assert not [thread for thread in threading.enumerate() if thread.name.endswith("(work)")]


@pytest.mark.parametrize("flags", [F.VM, F.VM | F.VFORK, F.VM | F.NEWPID | F.NEWUSER], ids=str)
def test_its_threads_are_no_daemons_by_themselves(flags: F, nothing_left: object) -> None:
    """A thread of which nothing is said is waited for, also where the child has other tids."""
    may_end = threading.Event()
    done: list[int] = []

    def work() -> None:
        may_end.wait(SECONDS)
        done.append(1)

    def fn() -> tuple[bool, bool]:
        thread = threading.Thread(target=work)
        thread.start()
        threading.Timer(0.05, may_end.set).start()
        return threading.current_thread().daemon, thread.daemon

    assert call(fn, flags=flags) == (False, False)
    assert done == [1]


@PROCESSES
def test_its_daemon_threads_end_with_it(flags: F) -> None:
    """A daemon thread is gone with the child, and does not take the interpreter lock along."""

    def spin() -> None:
        while True:
            pass

    def fn() -> int:
        threading.Thread(target=spin, daemon=True).start()
        return 5

    def several() -> None:
        for _ in range(repeated(20)):
            assert call(fn, flags=flags) == 5
            assert call(int, 6) == 6

    ramet.clone(several).result(SECONDS)  # in a copy: what Python keeps for such threads stays


@PROCESSES
@pytest.mark.parametrize("how", ["killed", "daemons at the end", "exit"])
def test_threads_that_ended_with_it_are_not_alive(flags: F, how: str) -> None:
    """Nobody waits for ever for a thread whose process is gone, and the list of threads has none."""
    threads: list[threading.Thread] = []

    def fn() -> None:
        daemon = how == "daemons at the end"
        threads.extend(thread_that_hangs(daemon) for _ in range(3))
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif how == "exit":
            os._exit(3)

    def caller() -> None:
        before = threading.enumerate()
        with ramet.clone(fn, flags=flags) as child:
            child.wait(SECONDS)
        assert len(threads) == 3
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
        assert set(threading.enumerate()) <= set(before)
        threading.Thread(target=int).start()  # on the stack of one of them
        sys.settrace(lambda *_: None)  # goes through the frames of all threads
        sys.settrace(None)

    ramet.clone(caller).result(SECONDS)  # in a copy: the stacks of such threads stay


def kill_at_once(children: list[ramet.Child[None]]) -> None:
    killers = [threading.Thread(target=child.kill) for child in children]
    for killer in killers:
        killer.start()
    for killer in killers:
        killer.join()


@pytest.mark.parametrize("how", ["killed", "at the end"])
def test_threads_of_many_end_at_once(how: str) -> None:
    """Several who recover at the same time take each dead thread once, and no living one."""

    def fn(begun: threading.Event) -> None:
        for _ in range(3):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        begun.set()
        if how == "killed":
            threading.Event().wait()

    def several() -> None:
        before = set(threading.enumerate())
        sys.setswitchinterval(1e-5)
        for _ in range(repeated(10)):
            begun = [threading.Event() for _ in range(5)]
            children = [ramet.clone(fn, event, flags=F.VM) for event in begun]
            for event in begun:
                assert event.wait(SECONDS)
            if how == "killed":
                kill_at_once(children)
            for child in children:
                child.wait(SECONDS)
            assert set(threading.enumerate()) <= before

    ramet.clone(several).result(SECONDS)  # in a copy: the stacks of such threads stay


def test_a_child_of_a_child_that_is_a_thread_is_left_alone() -> None:
    """Nobody joins a task that threading did not start; who made it ends all the same, and it is gone."""
    kept: list[ramet.Child[bool]] = []

    def fn() -> int:
        kept.append(ramet.clone(threading.Event().wait, SECONDS, flags=THREAD))
        return 5

    before = set(threading.enumerate())
    assert call(fn) == 5
    assert kept[0].wait(SECONDS) == ExitStatus.unknown()
    assert set(threading.enumerate()) <= before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it was not ours to wait for
        kept.clear()
        gc.collect()
    reap_ended()
    assert unreaped == []


def test_others_need_not_wait_for_it() -> None:
    """To join all that is no daemon is to join one's own."""
    begun, may_end = threading.Event(), threading.Event()

    def fn() -> None:
        begun.set()
        may_end.wait(SECONDS)

    child = ramet.clone(fn, flags=F.VM)
    assert begun.wait(SECONDS)
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join(SECONDS)
    may_end.set()
    child.result(SECONDS)


def test_the_caller_may_change_its_identity(root: None) -> None:
    """setuid() of the caller reaches its host threads, and children go on as who they are."""

    def fn() -> int:
        end, ended = os.pipe()
        with ramet.clone(lambda: (os.read(end, 1), os.getuid())[1], flags=F.VM | F.FILES) as child:
            ramet.clone(int, flags=F.VM).wait(SECONDS)
            os.setuid(65534)
            uids = {
                line.split()[1]
                for status in Path("/proc/self/task").glob("*/status")
                for line in status.read_text().splitlines()
                if line.startswith("Uid:")
            }
            assert uids == {"65534"}
            os.write(ended, b"x")
            assert child.result(SECONDS) == 0
        return int(ramet.clone(os.getuid, flags=F.VM).result(SECONDS))

    assert ramet.clone(fn).result(SECONDS) == 65534
