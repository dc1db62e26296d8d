import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ramet import CloneFlag as F

from ..constants import SECONDS

Start = Callable[..., Any]

KINDS = {
    "vm": F.VM,
    "sighand": F.VM | F.SIGHAND,
    "files": F.VM | F.FILES | F.FS,
}


def leave_children(flags: int, activity: str, forget: bool, way: str) -> None:
    """Make three children, tell their pids, and end the program at a line of input."""
    import os
    import signal
    import sys
    import threading
    import warnings

    import ramet
    from tests.activities import WITHOUT_END

    warnings.simplefilter("ignore", ResourceWarning)
    pids: list[int] = []
    told = threading.Event()

    def fn() -> None:
        pids.append(os.getpid())
        if len(pids) == 3:
            told.set()
        WITHOUT_END[activity]()

    kept = [ramet.clone(fn, flags=flags) for _ in range(3)]
    told.wait()
    if forget:
        kept.clear()
    print(*pids, flush=True)
    sys.stdin.readline()
    if way == "exit":
        sys.exit(3)
    elif way == "raise":
        raise LookupError("at the end")
    elif way == "hard exit":
        os._exit(3)
    elif way == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
    elif way == "thread":
        threading.Thread(target=threading.main_thread().join).start()


@pytest.mark.parametrize("activity", ["sleep", "spin", "allocate", "nap", "lock"])
@pytest.mark.parametrize("forget", [False, True], ids=["kept", "forgotten"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_the_program_is_theirs(
    in_new_python: Start, kind: str, forget: bool, activity: str
) -> None:
    """A program that ends does not hang on its children in shared memory, and leaves none."""
    program = in_new_python(leave_children, int(KINDS[kind]), activity, forget, "return")
    program.watch()
    program.go_on()
    program.finish()
    assert program.all_gone()


@pytest.mark.parametrize(
    ("way", "code"),
    [("exit", 3), ("raise", 1), ("hard exit", 3), ("signal", -signal.SIGTERM), ("thread", 0)],
    ids=["exit", "raise", "hard exit", "signal", "thread"],
)
def test_whatever_way_it_ends(in_new_python: Start, way: str, code: int) -> None:
    """The program ends with its own code, in whatever way it ends, and no child is left."""
    program = in_new_python(leave_children, int(F.VM), "spin", False, way)
    program.watch()
    program.go_on()
    program.finish(code)
    assert program.all_gone()


def leave_a_thread() -> None:
    import atexit
    import threading
    import warnings

    import ramet
    from ramet import CloneFlag as F

    warnings.simplefilter("ignore", ResourceWarning)
    end = threading.Event()

    def fn() -> None:
        end.wait()
        print("the last word", flush=True)

    ramet.clone(fn, flags=F.VM | F.SIGHAND | F.THREAD)
    atexit.register(end.set)


def test_the_end_waits_for_threads(in_new_python: Start) -> None:
    """A child that is a thread cannot be killed, and the program waits for it as for any thread."""
    assert in_new_python(leave_a_thread).finish() == "the last word\n"


def leave_threads_of_a_dead_child(flags: int) -> None:
    import os
    import signal
    import threading

    import ramet
    from tests.activities import thread_that_hangs

    def fn() -> None:
        for _ in range(3):
            thread_that_hangs()
        os.kill(os.getpid(), signal.SIGKILL)

    with ramet.clone(fn, flags=flags) as child:
        child.wait()
    threading.Thread(target=print, args=("the last word",)).start()


@pytest.mark.parametrize("flags", [F.VM, F.VM | F.VFORK], ids=str)
def test_the_end_waits_for_no_dead_threads(in_new_python: Start, flags: F) -> None:
    """The threads that a child started died with it, though it never came to wait for them."""
    assert in_new_python(leave_threads_of_a_dead_child, int(flags)).finish() == "the last word\n"


def end_with_threads_that_end(flags: int) -> None:
    import threading

    import ramet

    def fn() -> None:
        for _ in range(3):
            threading.Thread(target=int, daemon=False).start()

    for _ in range(1000):
        ramet.clone(fn, flags=flags).result()
    print("the last word")


@pytest.mark.parametrize("flags", [F.VM, F.VM | F.VFORK], ids=str)
def test_a_thread_ends_before_its_child(in_new_python: Start, flags: F) -> None:
    """A thread that has left Python, and has some steps to go, is not killed with its child there.

    The interpreter would wait for its last step for ever.
    """
    assert in_new_python(end_with_threads_that_end, int(flags)).finish() == "the last word\n"


def leave_daemons(flags: int, forever: bool) -> None:
    import threading

    import ramet

    made = threading.Event()

    def make() -> None:
        while True:
            try:
                ramet.clone(lambda: [1], flags=flags).result()
            except (RuntimeError, ramet.ChildDied):  # what has begun is killed
                return
            made.set()
            if not forever:
                threading.Event().wait()

    for _ in range(3):
        threading.Thread(target=make, daemon=True).start()
    made.wait()
    print("the last word")


@pytest.mark.parametrize("forever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("flags", [F(0), F.VM, F.VM | F.VFORK], ids=str)
def test_daemon_threads_that_make_children(in_new_python: Start, flags: F, forever: bool) -> None:
    """The interpreter ends in order, whatever threads that nobody waits for have made or are making."""
    for _ in range(3):
        assert in_new_python(leave_daemons, int(flags), forever).finish() == "the last word\n"


def leave_a_daemon_that_flushes() -> None:
    import atexit
    import ctypes
    import io
    import os
    import sys
    import threading

    import ramet

    reading, writing = os.pipe()
    begun = threading.Event()

    class Slow(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            begun.set()
            os.read(reading, 1)
            return os.write(1, data)  # type: ignore[arg-type]

    sys.setswitchinterval(1000)  # the daemon gets the interpreter lock when this thread waits
    atexit.register(ctypes.PyDLL(None).write, writing, b"x", 1)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(Slow()))
    print("the last word")
    threading.Thread(target=ramet.clone, args=(int,), daemon=True).start()
    begun.wait()


def test_a_daemon_thread_that_flushes_is_awaited(in_new_python: Start) -> None:
    """Before it makes a copy: else it would keep the lock of a stream, at which Python aborts."""
    assert in_new_python(leave_a_daemon_that_flushes).finish() == "the last word\n"


def leave_suspended_daemons(flags: int) -> None:
    import contextlib
    import threading

    import ramet

    begun = threading.Semaphore(0)

    def go_on() -> None:
        begun.release()
        while True:
            pass

    def make() -> None:
        with contextlib.suppress(ramet.ChildDied):
            ramet.clone(go_on, flags=flags).result()

    for _ in range(3):
        threading.Thread(target=make, daemon=True).start()
    for _ in range(3):
        begun.acquire()
    print("the last word")


@pytest.mark.parametrize("flags", [F.VM, F.VM | F.VFORK], ids=str)
def test_daemon_threads_whose_children_go_on(in_new_python: Start, flags: F) -> None:
    """Children that run Python are killed, and a thread that one of them has suspended ends in order."""
    for _ in range(3):
        assert in_new_python(leave_suspended_daemons, int(flags)).finish() == "the last word\n"


def make_children_at_the_end(where: str) -> None:
    import atexit
    import threading
    import time

    import ramet
    from ramet import CloneFlag as F

    results: list[object] = []

    def make() -> None:
        results.append(ramet.clone(lambda: 1, flags=F.VM).result())
        results.append(ramet.vfork(lambda: 2).result())
        results.append(ramet.clone(lambda: 3).result())
        ramet.clone(time.sleep, 1000, flags=F.VM).__enter__()
        print(results)

    if where == "atexit":
        atexit.register(make)
    else:
        threading.Thread(target=make).start()


@pytest.mark.parametrize("where", ["atexit", "a last thread"])
def test_children_of_the_last_moment(in_new_python: Start, where: str) -> None:
    """Children made while the program ends work, and do not keep it from ending."""
    assert in_new_python(make_children_at_the_end, where).finish() == "[1, 2, 3]\n"


def end_in_a_child(flags: int) -> None:
    import os

    import ramet

    child = ramet.clone(lambda: os.getpid(), flags=flags)
    assert child.result() == child.pid
    print("once")


@pytest.mark.parametrize("flags", [F(0), F.FS, F.VM, F.VM | F.VFORK], ids=str)
def test_only_the_caller_ends_the_program(in_new_python: Start, flags: F) -> None:
    """A child ends at the end of its function, and the program's last lines run once."""
    assert in_new_python(end_in_a_child, int(flags)).finish() == "once\n"


def end_a_process_of_a_childs(sharing: int) -> None:
    import multiprocessing
    import os
    import threading
    import warnings

    import ramet

    warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside a host thread
    processes = multiprocessing.get_context("fork")
    reading, writing = os.pipe()
    asked = threading.Event()

    def write_later() -> None:
        asked.wait()
        os.write(writing, b"waited for")

    def target() -> None:
        assert threading.current_thread() is threading.main_thread()
        assert threading.main_thread().name == "MainThread"
        assert not threading.main_thread().daemon
        threading.Thread(target=write_later).start()
        threading._register_atexit(asked.set)  # type: ignore[attr-defined]

    def child() -> int | None:
        process = processes.Process(target=target)
        process.start()
        process.join()
        return process.exitcode

    assert ramet.clone(child, flags=sharing).result() == 0
    assert os.read(reading, 100) == b"waited for"


@pytest.mark.parametrize("sharing", [F.VM, F.VM | F.FILES, F.VM | F.SIGHAND | F.THREAD], ids=str)
def test_a_process_that_a_child_forks_ends_in_order(in_new_python: Start, sharing: F) -> None:
    """The thread that made it is its main thread there, and waits for its others: its exit code is 0."""
    in_new_python(end_a_process_of_a_childs, int(sharing)).finish()


@pytest.mark.parametrize("end", ["del program", ""], ids=["dropped", "kept"])
def test_a_program_that_runs_on_is_left_in_silence(end: str) -> None:
    """Nobody has waited for it: it is given up while there are still the modules that this needs."""
    lines = [
        "import subprocess, ramet",
        "with ramet.Executor(1) as executor: executor.submit(divmod, 7, 3).result()",
        "import asyncio",
        "program = ramet.Popen(['cat'], stdin=subprocess.PIPE)",
        end,
    ]
    argv = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
