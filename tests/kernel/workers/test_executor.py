"""Executors: every call in a process of its own."""

import gc
import os
import select
import signal
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

from ramet import ChildDied, DeadlineExceeded, Executor, ResultError, Template

from ...constants import PATIENT_SECONDS, SECONDS
from ...waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_each_call_has_a_process_of_its_own() -> None:
    """Their pids differ as their parent sees them, and all results arrive."""
    with Executor(2) as executor:
        futures = [executor.submit(divmod, number, 3) for number in range(20)]
        assert [future.result() for future in futures] == [divmod(n, 3) for n in range(20)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM])
def test_a_death_costs_its_own_future_alone(number: int) -> None:
    """The exception names the signal and the call; the other calls have their results."""
    with Executor(2) as executor:
        others = [executor.submit(abs, -n) for n in range(4)]
        dead = executor.submit(signal.raise_signal, number)
        others += [executor.submit(abs, -n) for n in range(4)]
        error = dead.exception()
        assert isinstance(error, ChildDied)
        assert error.status.signal == number
        assert "raise_signal" in error.call
        assert [future.result() for future in others] == [*range(4), *range(4)]


@pytest.mark.parametrize("most", [1, 2])
def test_the_spare_of_a_call_that_waits_is_not_warmed_up(tmp_path: Path, most: int) -> None:
    """That would take the time that its call waits for; what a later call finds has been."""
    gates = [tmp_path / str(number) for number in range(most)]
    for gate in gates:
        os.mkfifo(gate)
    with (
        Template([__name__], warm=_note_warm_up, spares=0) as template,
        Executor(most, template=template, spares=most) as executor,
    ):
        link = executor._pool._template._link
        assert executor.submit(_was_warmed_up).result()
        until(lambda: link.spares == most)
        for gate in gates:
            executor.submit(gate.read_bytes)
        waiting = [executor.submit(_was_warmed_up) for _ in range(9)]
        for gate in gates:
            gate.write_bytes(b"")
        assert sum(future.result() for future in waiting) < most, "made before a call waited"
        until(lambda: link.spares == most)
        assert executor.submit(_was_warmed_up).result()


_warmed_up: list[bool] = []


def _note_warm_up() -> None:
    _warmed_up.append(True)


def _was_warmed_up() -> bool:
    return bool(_warmed_up)


def test_a_call_ends_at_its_deadline() -> None:
    """Its exception has the stack where it stood."""
    with Executor(1, timeout=1.0, preload=[__name__]) as executor:
        error = executor.submit(_hang).exception()
        assert isinstance(error, DeadlineExceeded)
        assert error.status.reason == "deadline"
        assert _hang.__name__ in error.stack
        assert "serving.py" not in error.stack, "what calls all functions tells nothing"
        by_keyword = executor.submit(_hang_as, name=1).exception()
        assert isinstance(by_keyword, DeadlineExceeded)
        assert by_keyword.stack.endswith(" in _hang_as")
        in_c = executor.submit(select.select, [], [], []).exception()
        assert isinstance(in_c, DeadlineExceeded)
        assert in_c.stack.endswith(" in _serve_next"), "of frames one at least is told"
        assert executor.submit(abs, -1).result() == 1


def test_a_running_call_can_be_cancelled() -> None:
    """Its future is cancelled at once, and the next call runs."""
    with Executor(1) as executor:
        future = executor.submit(_hang)
        while not future.running():
            os.sched_yield()
        assert future.cancel()
        assert future.cancelled()
        wait([future])
        assert executor.submit(abs, -1).result() == 1


def test_what_cannot_be_sent_is_one_clear_error() -> None:
    """An argument that cannot be pickled, and a result."""
    with Executor(1) as executor, open(os.devnull, encoding="utf-8") as file:
        with pytest.raises(TypeError, match="argument 0"):
            executor.submit(str, file).result()
        with pytest.raises(ResultError, match="cannot be sent"):
            executor.submit(open, os.devnull).result()


def cannot_send(call: Callable[[], object], told: str) -> None:
    """The error says so of what has that name."""
    with pytest.raises(TypeError, match=f"expected what can be pickled, got {told} "):
        call()


def test_what_cannot_be_sent_has_the_name_that_its_caller_knows() -> None:
    """By which it was handed over, also in a call of map() that has several items, or an initializer."""
    lock: Any = threading.Lock()

    def locked(*_: object) -> object:
        return lock

    with Executor(1) as one:
        cannot_send(lambda: one.submit(print, file=lock).result(), "argument 'file' <unlocked")
        cannot_send(lambda: one.submit(print, lock, end="").result(), "argument 0 <unlocked")
        cannot_send(lambda: list(one.map(str, [1, lock], chunksize=2)), "argument 0 <unlocked")
    with Executor(1, initializer=str, initargs=(lock,)) as one:
        cannot_send(lambda: one.submit(abs, -1).result(), "the initializer's argument 0")
    with Executor(1, initializer=locked) as one:
        cannot_send(lambda: one.submit(abs, -1).result(), "the initializer's function")


def test_output_is_the_futures_when_it_is_captured() -> None:
    """Standard output and error, each by itself."""
    with Executor(1, capture_output=True) as executor:
        future = executor.submit(print, "said")
        future.result()
        assert (future.stdout, future.stderr) == ("said\n", "")


def test_a_process_serves_several_calls_when_asked() -> None:
    """With reuse=3 the pid changes after each third call."""
    with Executor(1, reuse=3) as executor:
        pids = [executor.submit(os.stat, "/proc/self").result().st_ino for _ in range(6)]
        assert len(set(pids[:3])) == len(set(pids[3:])) == 1


@pytest.mark.parametrize(("chunksize", "buffersize"), [(1, None), (3, None), (1, 2), (2, 1)])
def test_map_gives_results_in_their_order(chunksize: int, buffersize: int | None) -> None:
    """With chunks, and with a buffer."""
    with Executor(2) as executor:
        found = executor.map(pow, range(7), [2] * 7, chunksize=chunksize, buffersize=buffersize)
        assert list(found) == [n * n for n in range(7)]


def _hang() -> None:
    select.select([], [], [])


def _hang_as(name: int) -> None:
    assert name
    select.select([], [], [])


def test_a_death_is_seen_although_a_copy_of_the_call_lives(tmp_path: Path) -> None:
    """What the call has forked does not keep its future waiting."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with Executor(1) as executor:
        writer = os.open(fifo, os.O_RDWR)
        error = executor.submit(_fork_and_die, str(fifo)).exception(SECONDS)
        os.close(writer)  # without a namespace the copy is nobody's, and ends by this
        assert isinstance(error, ChildDied)
        assert error.status.signal == signal.SIGKILL


def _fork_and_die(fifo: str) -> None:
    """The copy lives for as long as someone has the fifo open for writing."""
    if os.fork() == 0:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # there may be no writer any more
        os.set_blocking(reader, True)
        os.read(reader, 1)
        os._exit(0)
    signal.raise_signal(signal.SIGKILL)


def test_a_call_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    """Processes that have left its session and whose parents have ended, too."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with Executor(2) as executor:
        for future in [executor.submit(_leave_three_behind, str(fifo)) for _ in range(5)]:
            assert future.result(SECONDS) == 3
            assert future.tree_ended_by in {"pid namespace", "walk"}
    assert os.read(reader, 100) == b"", "no process has it open for writing"
    os.close(reader)


def _leave_three_behind(fifo: str) -> int:
    told, tells = os.pipe()
    for _ in range(3):
        if (child := os.fork()) == 0:
            os.setsid()
            if os.fork() == 0:
                os.open(fifo, os.O_WRONLY)
                os.write(tells, b"x")
                _hang()
            os._exit(0)
        os.waitpid(child, 0)
    return sum(len(os.read(told, 1)) for _ in range(3))


def test_what_a_call_was_called_with_is_not_kept() -> None:
    """Nor what it returned, though a call before it, with the same deadline, runs on."""
    with Executor(2, timeout=PATIENT_SECONDS) as executor:
        slow = executor.submit(signal.pause)
        argument = {1}
        future = executor.submit(lambda numbers: numbers | {2}, argument)
        kept = [weakref.ref(argument), weakref.ref(future.result(PATIENT_SECONDS))]
        del argument, future
        gc.collect()
        until(lambda: [one() for one in kept] == [None, None])
        slow.cancel()
