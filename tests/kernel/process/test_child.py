import asyncio
import contextlib
import gc
import os
import selectors
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import Child, ChildDied, ExitStatus, TimeoutExpired
from ramet import CloneFlag as F

from ...constants import SECONDS, repeated
from ...kernels import KERNEL
from ...waiting import nothing_unreaped, until

THREAD = F.VM | F.SIGHAND | F.THREAD
PROCESSES = pytest.mark.parametrize("memory", [F(0), F.FS, F.VM], ids=["plain", "flags", "vm"])
ALL_KINDS = pytest.mark.parametrize(
    "memory", [F(0), F.FS, F.VM, THREAD], ids=["plain", "flags", "vm", "thread"]
)

# Since Linux 6.15 a pidfd tells how its task ended even when somebody else has reaped it.
UNKNOWN_OR_7 = {ExitStatus.unknown(), ExitStatus(code=7, reason="exited")}


class Gate:
    """Lets a child go on when the caller says so, in whatever memory it is."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()

    def wait(self) -> str:
        os.read(self.read_end, 1)
        return "let through"

    def open(self) -> None:
        os.write(self.write_end, b"x")

    def close(self) -> None:
        os.close(self.read_end)
        os.close(self.write_end)


@pytest.fixture
def gate(nothing_left: object) -> Iterator[Gate]:
    """A gate, closed at first."""
    with contextlib.closing(Gate()) as made:
        yield made


# ---- with, and forgetting


@PROCESSES
def test_leaving_a_block_kills_and_reaps(memory: F, gate: Gate) -> None:
    """What still runs at the end of a with block is killed and waited for."""
    with ramet.clone(gate.wait, flags=memory) as child:
        assert child.exit_status is None
    assert child.exit_status == ExitStatus(signal=signal.SIGKILL, reason="signaled")
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, 0)


@ALL_KINDS
def test_leaving_a_block_keeps_the_result(memory: F, nothing_left: object) -> None:
    """What had ended before the end of the block has its result."""
    with ramet.clone(lambda: 5, flags=memory) as child:
        child.wait(SECONDS)
    assert child.result() == 5


@PROCESSES
def test_garbage_that_asks_for_a_forgotten_child(memory: F, gate: Gate) -> None:
    """It is not kept waiting, in whatever order the collector finalizes the handle and who waits by it."""
    child = ramet.clone(gate.wait, flags=memory)
    child._leave_unwaited()
    assert child.poll() == ExitStatus.unknown()
    with pytest.warns(ResourceWarning, match="never waited for"):
        del child
    gate.open()
    until(nothing_unreaped)


@ALL_KINDS
def test_a_forgotten_child_warns_and_is_reaped(memory: F, gate: Gate) -> None:
    """A handle that is dropped warns; the child runs on, and a clone call after its end reaps it."""
    if memory & F.THREAD and KERNEL < (6, 9):
        pytest.skip("a thread has a pidfd since Linux 6.9")
    child = ramet.clone(gate.wait, flags=memory)
    pid, pidfd = child.pid, child.fileno()
    with pytest.warns(ResourceWarning, match=f"child {pid} was never waited for"):
        del child
        gc.collect()
    assert Path(f"/proc/{pid}").exists()
    gate.open()
    deadline = time.monotonic() + SECONDS
    while Path(f"/proc/{pid}").exists() or Path(f"/proc/self/fd/{pidfd}").exists():
        assert time.monotonic() < deadline
        ramet.clone(int).result(SECONDS)


@ALL_KINDS
def test_a_child_that_was_waited_for_is_forgotten_in_silence(
    memory: F, nothing_left: object
) -> None:
    """There is no warning for a child whose end is known."""
    child = ramet.clone(int, flags=memory)
    child.wait(SECONDS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del child
        gc.collect()


# ---- the descriptor


@PROCESSES
def test_a_selector_tells_of_the_end(memory: F, gate: Gate) -> None:
    """A child is a file for any selector, and readable when it has ended."""
    child = ramet.clone(gate.wait, flags=memory)
    with selectors.DefaultSelector() as selector:
        selector.register(child, selectors.EVENT_READ)
        assert selector.select(0) == []
        gate.open()
        ((key, _),) = selector.select(SECONDS)
        assert key.fileobj is child
    assert child.poll() is not None
    assert child.result() == "let through"


@PROCESSES
def test_an_event_loop_tells_of_the_end(memory: F, gate: Gate) -> None:
    """Asyncio can watch a child by its descriptor."""

    async def main() -> str:
        child = ramet.clone(gate.wait, flags=memory)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(child, ended.set)
        gate.open()
        async with asyncio.timeout(SECONDS):
            await ended.wait()
        asyncio.get_running_loop().remove_reader(child)
        return child.result(0)

    assert asyncio.run(main()) == "let through"


@PROCESSES
def test_the_descriptor_is_not_inherited(memory: F, gate: Gate) -> None:
    """The pidfd does not go on to programs."""
    with ramet.clone(gate.wait, flags=memory) as child:
        assert not os.get_inheritable(child.fileno())


# ---- timeouts


@ALL_KINDS
@pytest.mark.parametrize("ask", ["wait", "result", "exception"])
@pytest.mark.parametrize("timeout", [0, 0.001, 0.01])
def test_time_runs_out(memory: F, ask: str, timeout: float, gate: Gate) -> None:
    """A wait that is given up is TimeoutError and subprocess.TimeoutExpired, the child runs on."""
    child = ramet.clone(gate.wait, flags=memory)
    with pytest.raises(TimeoutExpired) as caught:
        getattr(child, ask)(timeout)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, subprocess.TimeoutExpired)
    assert caught.value.timeout == timeout
    assert child.poll() is None
    gate.open()
    assert child.result(SECONDS) == "let through"


@ALL_KINDS
@pytest.mark.parametrize("timeout", [1e308, float("inf"), None])
def test_a_long_time_is_no_error(memory: F, timeout: float | None, nothing_left: object) -> None:
    """Any number of seconds will do, however many."""
    assert ramet.clone(lambda: 6, flags=memory).result(timeout) == 6


@ALL_KINDS
def test_a_signal_handler_runs_while_waiting(memory: F, gate: Gate) -> None:
    """A handler that raises ends the wait, and the child can be waited for afterwards."""

    class Handled(Exception):  # noqa: N818
        pass

    def handle(number: int, frame: object) -> None:
        raise Handled

    caller = threading.get_ident()
    old = signal.signal(signal.SIGUSR1, handle)
    child = ramet.clone(gate.wait, flags=memory)
    sender = threading.Timer(0.05, signal.pthread_kill, (caller, signal.SIGUSR1))
    sender.start()
    with pytest.raises(Handled):
        child.wait(SECONDS)
    sender.join()
    signal.signal(signal.SIGUSR1, old)
    gate.open()
    assert child.result(SECONDS) == "let through"


# ---- many who wait


@ALL_KINDS
def test_many_threads_may_wait_at_once(memory: F, gate: Gate) -> None:
    """All who wait for a child get the same status, and its result as the same object."""
    child = ramet.clone(gate.wait, flags=memory)
    outcomes: list[tuple[ExitStatus, str]] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append((child.wait(SECONDS), child.result())))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    gate.open()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8
    assert {id(status) for status, _ in outcomes} == {id(child.exit_status)}
    assert {id(result) for _, result in outcomes} == {id(child.result())}
    assert child.result() == "let through"


@PROCESSES
def test_many_threads_may_wait_for_many_children(memory: F, nothing_left: object) -> None:
    """Whichever comes first, every wait ends and every result is there: 50 children, 4 threads."""
    for number in range(50):
        child = ramet.clone(int, number, flags=memory)
        results: list[int] = []
        threads = [
            threading.Thread(target=lambda: results.append(child.result(SECONDS)))  # noqa: B023
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [number] * 4


@PROCESSES
def test_a_handler_may_ask_in_the_midst_of_a_wait(memory: F, nothing_left: object) -> None:
    """A SIGCHLD handler that polls the child for which the program waits hangs nobody."""
    current: list[Child[int]] = []
    old = signal.signal(signal.SIGCHLD, lambda number, frame: [child.poll() for child in current])
    try:
        for number in range(repeated(200)):
            child = ramet.clone(int, number, flags=memory)
            current[:] = [child]
            assert child.result(SECONDS) == number
            current.clear()
    finally:
        signal.signal(signal.SIGCHLD, old)


# ---- signals


@PROCESSES
def test_signals_reach_the_child(memory: F, gate: Gate) -> None:
    """kill() and send_signal() end a child that does not catch them."""
    for send, number in (
        (lambda child: child.send_signal(signal.SIGTERM), signal.SIGTERM),
        (Child.kill, signal.SIGKILL),
        (lambda child: child.send_signal(signal.SIGUSR2), signal.SIGUSR2),
    ):
        child: Child[Any] = ramet.clone(gate.wait, flags=memory)
        send(child)
        assert child.wait(SECONDS) == ExitStatus(signal=number, reason="signaled")


@PROCESSES
def test_stop_and_resume(memory: F, gate: Gate) -> None:
    """A stopped child does nothing until it is resumed."""
    with ramet.clone(gate.wait, flags=memory) as child:
        child.stop()
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        gate.open()
        with pytest.raises(TimeoutExpired):
            child.wait(0.05)
        child.resume()
        assert child.result(SECONDS) == "let through"


def test_signals_to_a_thread_are_refused(gate: Gate) -> None:
    """A signal to a thread goes to its whole process, so none is sent."""
    child = ramet.clone(gate.wait, flags=THREAD)
    for send in (child.kill, child.stop, child.resume):
        with pytest.raises(ValueError, match="thread of this process"):
            send()
    gate.open()
    child.wait(SECONDS)


@PROCESSES
def test_signals_never_reach_the_next_owner_of_a_pid(memory: F, root: None, gate: Gate) -> None:
    """A signal to a child that has been waited for does not reach who has its pid now."""
    old = ramet.clone(int, flags=memory)
    old.wait(SECONDS)
    with ramet.clone(gate.wait, set_tid=[old.pid]) as new:
        assert new.pid == old.pid
        old.kill()
        old.terminate()
        gate.open()
        assert new.result(SECONDS) == "let through"


@PROCESSES
def test_a_reaped_child_is_told_from_the_next_owner_of_its_pid(
    memory: F, root: None, gate: Gate
) -> None:
    """Reaped by somebody else and its pid given to another child: neither is taken for the other."""
    old = ramet.clone(os._exit, 7, flags=memory)
    assert os.waitpid(old.pid, 0) == (old.pid, 7 << 8)
    with ramet.clone(gate.wait, set_tid=[old.pid]) as new:
        old.kill()
        assert old.wait(SECONDS) in UNKNOWN_OR_7
        gate.open()
        assert new.result(SECONDS) == "let through"


# ---- where the kernel gives no status


@PROCESSES
def test_a_child_that_somebody_else_reaped(memory: F, nothing_left: object) -> None:
    """After os.waitpid() the end is known, its kind only where the kernel still tells."""
    child = ramet.clone(os._exit, 7, flags=memory)
    os.waitpid(child.pid, 0)
    assert child.wait(SECONDS) in UNKNOWN_OR_7
    with pytest.raises(ChildDied):
        child.result()


@PROCESSES
def test_a_result_outlives_a_foreign_wait(memory: F, nothing_left: object) -> None:
    """Who reaps a child does not take its result."""
    child = ramet.clone(lambda: 8, flags=memory)
    os.waitpid(child.pid, 0)
    assert child.result(SECONDS) == 8


@pytest.mark.parametrize(
    "make",
    [
        ramet.clone,
        lambda fn: ramet.clone(fn, flags=F.FS),
        lambda fn: ramet.clone(fn, flags=F.VM),
        ramet.vfork,
        lambda fn: ramet.clone(fn, flags=F.DETACHED),
    ],
    ids=["plain", "flags", "vm", "vfork", "detached"],
)
def test_where_sigchld_is_ignored(
    make: Callable[[Callable[[], int]], Child[int]], nothing_left: object
) -> None:
    """Children that the kernel reaps by itself are waited for all the same, and give results."""
    old = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        for number in range(20):
            child = make(lambda: number)  # noqa: B023
            assert child.result(SECONDS) == number
            assert child.exit_status is not None
            assert child.exit_status.code in {0, None}
    finally:
        signal.signal(signal.SIGCHLD, old)


def test_an_exit_signal_of_its_own_is_no_hindrance(nothing_left: object) -> None:
    """Children that plain wait() does not see are waited for as any other."""
    for number in (0, signal.SIGURG):
        child = ramet.clone(os._exit, 7, exit_signal=number)
        assert child.wait(SECONDS) == ExitStatus(code=7, reason="exited")


def test_detached_children_are_waited_for(gate: Gate) -> None:
    """A child made by clone() without a pidfd of its clone call has one all the same."""
    with ramet.clone(gate.wait, flags=F.DETACHED) as child:
        assert child.fileno() >= 0
        with pytest.raises(TimeoutExpired):
            child.wait(0.01)
        gate.open()
        assert child.result(SECONDS) == "let through"


@PROCESSES
def test_the_status_comes_with_what_was_used(memory: F, nothing_left: object) -> None:
    """The status has the child's rusage."""
    child = ramet.clone(sum, range(300_000), flags=memory)
    rusage = child.wait(SECONDS).rusage
    assert rusage is not None
    assert rusage.ru_utime + rusage.ru_stime > 0


@pytest.mark.parametrize("flags", [F(0), F.VM], ids=str)
def test_another_process_cannot_take_the_status_away(flags: F, nothing_left: object) -> None:
    """A child that waits for its parent's child sees how it ended, and leaves the status to the parent."""
    reading, writing = os.pipe()
    awaited = ramet.clone(os.read, reading, 1)
    waiting = ramet.clone(lambda: awaited.wait(20).reason, flags=flags)
    os.write(writing, b"x")
    assert waiting.result(20) == "exited"
    assert awaited.result(20) == b"x"
    assert awaited.exit_status == ExitStatus(code=0, reason="exited")
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("flags", [F(0), F.VM, F.VM | F.VFORK], ids=str)
def test_another_process_cannot_take_the_outcome_away(flags: F, nothing_left: object) -> None:
    """A child in shared memory that asks for another's result leaves it, and its end, to their parent."""
    other = ramet.clone(lambda: 42, flags=flags)

    def ask() -> object:
        try:
            return other.result(SECONDS)
        except ChildDied:
            return None

    assert ramet.clone(ask, flags=F.VM).result(SECONDS) in {42, None}
    assert other.result(SECONDS) == 42
    assert other.exit_status == ExitStatus(code=0, reason="exited")


@pytest.mark.parametrize("options", [{}, {"nice": 1}], ids=str)
def test_a_suspended_callers_child_has_ended(
    options: ramet.FunctionOptions, nothing_left: object
) -> None:
    """The end of such a child is known at once, and nobody needs to wait for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        child = ramet.vfork(lambda: 42, **options)
        assert child.exit_status == ExitStatus(code=0, reason="exited")
        assert child.poll() is child.exit_status
        del child
        gc.collect()


@PROCESSES
def test_an_outcome_can_be_asked_for_again(memory: F, nothing_left: object) -> None:
    """What was raised is raised again, the same each time, and None is None."""

    def fn() -> None:
        raise LookupError("here")

    child = ramet.clone(fn, flags=memory)
    for _ in range(3):
        with pytest.raises(LookupError, match="here"):
            child.result()
    assert child.exception() is child.exception()
    nothing = ramet.clone(lambda: None, flags=memory)
    assert [nothing.result(), nothing.result(), nothing.exception()] == [None, None, None]


@pytest.mark.parametrize("ask", ["result", "exception", "wait"])
@pytest.mark.parametrize("flags", [F.VM, F.VM | F.VFORK], ids=str)
def test_a_signal_handler_that_raises_loses_nothing(
    flags: F, ask: str, nothing_left: object
) -> None:
    """Wherever it interrupts who asks, the outcome is there for the next who does."""

    def handler(*_: object) -> None:
        children[-1].result()  # in the midst of the other, which does it as well
        raise InterruptedError

    children: list[Child[Any]] = []
    before = signal.signal(signal.SIGALRM, handler)
    try:
        for step in range(repeated(1500)):
            children[:] = [ramet.clone(lambda: ("v",), flags=flags)]
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + step % 150))
                getattr(children[0], ask)()
                while True:  # its calls look for signals
                    os.sched_yield()
            except InterruptedError:
                assert children[0].result() == ("v",)
                assert children[0].exit_status == ExitStatus(code=0, reason="exited")
    finally:
        signal.signal(signal.SIGALRM, before)
