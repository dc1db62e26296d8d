"""The end of a program in a sandbox: all that it has started is dead when a wait for it returns."""

import contextlib
import ctypes
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ramet
from ramet import Sandbox
from ramet._core import wait_readable
from ramet._kernel import procfs
from ramet._process.tree.pid_namespace import PidNamespace

from ...constants import PATIENT_SECONDS, SECONDS
from ...holding import hold
from ...waiting import until
from .taken_away import needs_all

pytestmark = [needs_all, pytest.mark.usefixtures("nothing_kept")]

PTRACE_SEIZE = 0x4206
LAUNCHES = 150


class Kept:
    """A program that ends when it is told to, and a process of its sandbox that is not dead before go_on().

    A tracer keeps it: a traced process stays until its tracer has waited for it, or is gone.
    """

    def __init__(self) -> None:
        reader, writer = os.pipe()
        self._ends, ends = os.pipe()[::-1]
        command = (
            "sleep 1000 <&- >&- 2>&- 3>&- 4<&- & echo started >&3; exec 3>&-; read end <&4; exit 3"
        )
        given: dict[str, Any] = {"fds": {3: writer, 4: ends}}
        self.child = ramet.Command(["sh", "-c", command], sandbox=Sandbox(), **given).spawn()
        os.close(writer)
        os.close(ends)
        assert os.read(reader, 100) == b"started\n"
        os.close(reader)
        (self.kept,) = procfs.children(self.child.pid)
        self._goes_on, self._held = os.pipe()
        self._tracer = ramet.clone(self._trace)
        os.close(self._goes_on)
        until(lambda: procfs.status(self.kept).get("TracerPid") == str(self._tracer.pid))

    def _trace(self) -> None:
        os.close(self._held)
        os.close(self._ends)
        assert ctypes.CDLL(None, use_errno=True).ptrace(PTRACE_SEIZE, self.kept, None, None) == 0
        os.read(self._goes_on, 1)

    def end(self) -> None:
        """Let the program end, with the code 3."""
        os.close(self._ends)

    def go_on(self) -> None:
        """Let the other die."""
        os.close(self._held)
        self._tracer.wait()

    @property
    def is_there(self) -> bool:
        """Whether the other is not dead."""
        return os.path.exists(f"/proc/{self.kept}")


@pytest.fixture
def kept() -> Iterator[Kept]:
    """A program with a process that takes long to die."""
    made = Kept()
    yield made
    assert not made.is_there


def in_thread(act: Callable[[], object]) -> threading.Thread:
    """A thread that does this."""
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_all_who_wait_wait_for_the_tree(kept: Kept) -> None:
    """Though the status is known by then, of which nothing more is to be told."""
    ended: list[tuple[int | None, bool]] = []

    def wait() -> None:
        status = kept.child.wait()
        ended.append((status.code, kept.is_there))

    first = in_thread(wait)
    kept.end()
    until(lambda: kept.child.exit_status is not None)
    second = in_thread(wait)
    second.join(0.2)
    assert ended == []
    kept.go_on()
    for thread in (first, second):
        thread.join(PATIENT_SECONDS)
    assert ended == [(3, False)] * 2


def test_who_looks_takes_nothing_from_who_waits(kept: Kept) -> None:
    """The namespace is asked for while another thread waits for its end."""
    thread = in_thread(kept.child.wait)
    kept.end()
    until(lambda: kept.child.exit_status is not None)
    namespace = kept.child._own_namespace()
    assert namespace is not None
    namespace.kill()
    assert thread.is_alive()
    kept.go_on()
    thread.join(PATIENT_SECONDS)
    assert kept.child.wait().code == 3


def test_an_interrupted_wait_leaves_nothing(kept: Kept) -> None:
    """By a handler that raises while the tree dies: what is left is reaped later."""

    class HeardError(Exception):
        """What the handler raises."""

    def raises(*_: object) -> None:
        if kept.child.exit_status is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)  # or the next one comes when nothing catches it
            raise HeardError

    kept.end()
    before = signal.signal(signal.SIGALRM, raises)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        with pytest.raises(HeardError):
            kept.child.wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert kept.child.exit_status is not None
    kept.go_on()
    until(lambda: ramet.run(["true"]).returncode == 0 and not kept.is_there)


@pytest.mark.parametrize("ask", ["before", "after"])
def test_its_report_is_made_when_it_is_asked_for(ask: str) -> None:
    """And tells the same then."""
    child = ramet.Command(["sh", "-c", "exit 3"], sandbox=Sandbox()).spawn()
    if ask == "before":
        assert child.report is None
    assert child.wait().code == 3
    assert child.report.reason == "exited"
    assert child.report.cpu_seconds > 0
    assert child.report is child.report


def kill_new_children(until_set: threading.Event) -> None:
    """Of this process, again and again, each now and then: also those that are about to make others."""
    chance = random.Random(0)
    before = set(procfs.children(os.getpid()))
    while not until_set.is_set():
        for pid in set(procfs.children(os.getpid())) - before:
            if chance.random() < 0.1:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("warm", [0, 1])
def test_what_is_killed_at_any_moment_leaves_nothing(warm: int) -> None:
    """The tasks that only prepare a program, the init, the program: each launch ends in some way."""
    command = ramet.Command(["sh", "-c", "sleep 1000 & exit 3"], sandbox=Sandbox(warm=warm))
    is_over = threading.Event()
    killer = in_thread(lambda: kill_new_children(is_over))
    try:
        for _ in range(LAUNCHES):
            with contextlib.suppress(ramet.SpawnError, ramet.CloneError):
                assert command.spawn().wait().code in {3, None}
    finally:
        is_over.set()
        killer.join()
    command.spawn().wait()
    Sandbox(warm=warm).release()


def test_a_caller_that_ignores_the_ends_of_its_children() -> None:
    """The kernel has reaped them: the status is unknown, and the tree is dead all the same."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert ramet.Command(["true"], sandbox=Sandbox()).spawn().wait().signal is None
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_copy_of_the_caller_ends_nothing() -> None:
    """It learns how the child has ended, and leaves its namespace alone."""
    child = ramet.Command(["sleep", "1000"], sandbox=Sandbox()).spawn()
    with ramet.clone(child.poll) as copy:
        assert copy.result() is None
    assert child.poll() is None
    child.kill()
    assert child.wait().signal == signal.SIGKILL


def test_the_whole_tree_dies() -> None:
    """A process that has left its parents, group and session holds no pipe when run() is back."""
    reader, writer = os.pipe()
    try:
        command = "(setsid sh -c 'sleep 1000' <&- >&- 2>&- & ) & echo started >&3"
        given: dict[str, Any] = {"fds": {3: writer}}
        assert ramet.run(["sh", "-c", command], sandbox=Sandbox(), **given).returncode == 0
        os.close(writer)
        assert os.read(reader, 100) == b"started\n"
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)


@pytest.mark.parametrize("warm", [0, 1])
def test_who_waits_beside_another_waits_for_the_tree(
    warm: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the status is known by then: while the other ends the namespace, it does not come back."""
    reap, reaps, goes_on = PidNamespace._reap, threading.Event(), threading.Event()
    ended: list[ramet.ExitStatus] = []

    def slowly(namespace: PidNamespace, seconds: float) -> bool:
        reaps.set()
        goes_on.wait()
        return reap(namespace, seconds)

    argv = ["sh", "-c", "sleep 1000 & sleep 1000 &"]
    child = ramet.Command(argv, sandbox=Sandbox(warm=warm)).spawn()
    assert child._own_namespace() is not None  # which is ended in Python from here on
    monkeypatch.setattr(PidNamespace, "is_left_alone", lambda *_: False)
    monkeypatch.setattr(PidNamespace, "_reap", slowly)
    first, second = (threading.Thread(target=lambda: ended.append(child.wait())) for _ in range(2))
    first.start()
    assert reaps.wait(SECONDS)
    assert child.exit_status is not None
    second.start()
    second.join(0.05)
    assert ended == []
    goes_on.set()
    first.join()
    second.join()
    assert len(ended) == 2


def test_an_interrupted_end_of_the_tree_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a handler that raises while the namespace is ended: the init is reaped with a later child."""

    class HeardError(Exception):
        """What the handler raises."""

    def raises(*_: object) -> bool:
        raise HeardError

    child = ramet.Command(["true"], sandbox=Sandbox()).spawn()
    namespace = child._own_namespace()
    assert namespace is not None
    with monkeypatch.context() as patch:
        patch.setattr(PidNamespace, "_reap", raises)
        with pytest.raises(HeardError):
            child.wait()
    assert child.exit_status is not None
    assert wait_readable(namespace.fileno(), SECONDS)
    assert ramet.run(["true"]).returncode == 0
    assert not os.path.exists(f"/proc/{namespace.pid}")


BEGIN_TWICE = """
import ramet, signal

def hang_or_not(hangs):
    if hangs:
        signal.pause()

def begin(hangs):
    return {}

begin(False).wait()
print(flush=True)
input()
begin(True).wait()
"""
PROGRAM = "ramet.Command(['sleep', '1000' if hangs else '0'], sandbox=ramet.Sandbox()).spawn()"
FUNCTION = "ramet.clone(hang_or_not, hangs, sandbox=ramet.Sandbox())"
# The task that makes the others, the init, and who goes on to the program or the function.
PROCESSES = 3


@pytest.mark.parametrize("number", range(1, PROCESSES + 1))
@pytest.mark.parametrize("begin", [PROGRAM, FUNCTION], ids=["program", "function"])
def test_who_is_killed_as_it_begins_leaves_nothing(begin: str, number: int) -> None:
    """Each of its processes in turn sees only when it begins that another has adopted it."""
    ended = hold([sys.executable, "-c", BEGIN_TWICE.format(begin)], number, "the program")
    assert ended == (-signal.SIGKILL, True)
