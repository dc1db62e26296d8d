"""From when on a clone dies with its caller, and that none is stopped before."""

import ctypes
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

import ramet
from ramet._kernel import procfs
from ramet._process.tree.own_tree import END_SIGNAL, end_own_tree, is_ending_own_tree
from ramet._workers.in_call import binding

from ...constants import PATIENT_SECONDS
from ...looking import state_of
from ...waiting import until

PR_GET_PDEATHSIG = 2
MARK = signal.SIGRTMAX


def how_it_is() -> tuple[int, set[int]]:
    """The signal that comes with the end of the parent, and those that are blocked."""
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_PDEATHSIG, ctypes.byref(number), 0, 0, 0)
    return number.value, {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


@contextmanager
def derived(**options: Any) -> Iterator[ramet.Template]:
    """From another template."""
    with ramet.Template(**options) as base, base.derive() as made:
        yield made


@pytest.mark.parametrize(
    "make",
    [
        lambda: ramet.Template(preload=[__name__], spares=0),
        lambda: ramet.Template(preload=[__name__], spares=1),
        lambda: derived(preload=[__name__]),
        lambda: ramet.Template.from_here(),
    ],
    ids=["cloned at the call", "a spare", "derived", "from_here"],
)
def test_a_call_dies_with_its_caller_and_has_no_mark(
    make: Callable[[], Any], nothing_left: Any
) -> None:
    """Its template has the mark, which is a signal that is blocked."""
    with make() as template, template.clone(how_it_is) as child:
        assert child.result(PATIENT_SECONDS) == (signal.SIGKILL, set())
        until(lambda: blocked(template.pid) == {MARK})  # while it makes a spare, all are


def test_a_template_of_a_thread_that_may_end() -> None:
    """Its calls die when their channel is closed, and have no mark either, one after the other."""

    def make() -> list[tuple[int, set[int]]]:
        with ramet.Template.from_here() as template, template.derive() as other:
            calls = [template.clone(how_it_is) for _ in range(2)]
            calls.append(other.clone(how_it_is))
            found = [call.result(PATIENT_SECONDS) for call in calls]
            for call in calls:
                call.wait(PATIENT_SECONDS)
            return found

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(make).result(PATIENT_SECONDS) == [(0, set())] * 3


def test_the_mask_is_what_was_asked_for() -> None:
    """Also one that has the signal of the mark, which stays blocked then."""
    mask = {signal.SIGUSR1, MARK}
    with ramet.Template(preload=[__name__], signal_mask=mask) as template:
        with template.clone(how_it_is) as child:
            assert child.result(PATIENT_SECONDS)[1] == mask
        with template.derive() as other, other.clone(how_it_is) as child:
            assert child.result(PATIENT_SECONDS)[1] == mask


def has_the_mark(told: int, until_then: int) -> None:
    """As one has that is just born, until it reads something."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {MARK})
    os.write(told, b"x")
    os.read(until_then, 1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {MARK})
    signal.pause()


@pytest.fixture
def newborn() -> Iterator[tuple[Any, Callable[[], object]]]:
    """A call with the mark, and what takes it off."""
    (told, tell), (read, write) = os.pipe(), os.pipe()
    with (
        ramet.Template(preload=[__name__], spares=0) as template,
        template.clone(has_the_mark, tell, read, pass_fds=[tell, read]) as child,
    ):
        assert os.read(told, 1) == b"x"
        yield child, lambda: os.write(write, b"x")
        child.kill()
    for number in (told, tell, read, write):
        os.close(number)


@pytest.mark.parametrize("way", ["stop", "kill_tree"])
def test_none_is_stopped_that_has_the_mark(
    newborn: tuple[Any, Callable[[], object]], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Who would be killed in the middle of that would leave it stopped for ever."""
    child, unmark = newborn
    monkeypatch.setattr(binding, "_PATIENCE_SECONDS", PATIENT_SECONDS)
    looks = 0
    status = procfs.status

    def looked(pid: int | str) -> dict[str, str]:
        nonlocal looks
        looks += 1
        return status(pid)

    monkeypatch.setattr(procfs, "status", looked)
    thread = threading.Thread(target=getattr(child, way))
    thread.start()
    until(lambda: looks > 3)
    assert state_of(child.pid) in "SR"
    unmark()
    thread.join(PATIENT_SECONDS)
    assert not thread.is_alive()
    if way == "stop":
        until(lambda: state_of(child.pid) == "T")
    else:
        assert child.wait(PATIENT_SECONDS).signal == signal.SIGKILL


def test_who_blocks_that_signal_is_waited_for_a_moment(
    newborn: tuple[Any, Callable[[], object]],
) -> None:
    """A function of somebody's may; it is stopped all the same."""
    child, _ = newborn
    child.stop()
    until(lambda: state_of(child.pid) == "T")


def is_deaf_and_ends_its_own_tree(told: int) -> None:
    """As a call of an executor without a pid namespace does; this one blocks all signals then."""
    end_own_tree(with_parent=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    os.write(told, b"x")
    signal.pause()


def test_who_ends_its_own_tree_and_blocks_that_signal_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is bound by then; an executor's thread would wait once for each of them."""

    def no_pause() -> Iterator[float]:
        yield 0.0
        raise AssertionError("it is waited for")

    told, tell = os.pipe()
    with (
        ramet.Template(preload=[__name__], spares=0) as template,
        template.clone(is_deaf_and_ends_its_own_tree, tell, pass_fds=[tell]) as child,
    ):
        assert os.read(told, 1) == b"x"
        monkeypatch.setattr(binding, "pauses", no_pause)
        child.kill_tree()
    for number in (told, tell):
        os.close(number)


@pytest.mark.parametrize("is_masked", [True, False])
def test_whether_a_process_is_ending_its_own_tree_is_seen_by_the_signal(is_masked: bool) -> None:
    """It is blocked while its handler is at work: who sees that waits, and does not stop it."""
    told, tell = os.pipe()

    def waits() -> None:
        end_own_tree(with_parent=True)
        # As the kernel does for the time of the handler.
        signal.pthread_sigmask(signal.SIG_BLOCK, {END_SIGNAL} if is_masked else {signal.SIGUSR1})
        os.write(tell, b"x")
        signal.pause()

    with ramet.clone(waits) as child:
        assert not is_ending_own_tree(os.getpid())
        assert os.read(told, 1) == b"x"
        assert is_ending_own_tree(child.pid) == is_masked
        child.stop()
        until(lambda: state_of(child.pid) == "T")
        assert not is_ending_own_tree(child.pid)
    assert not is_ending_own_tree(child.pid)
    for number in (told, tell):
        os.close(number)


def blocked(pid: int) -> set[int]:
    """The signals that a process has blocked."""
    mask = int(procfs.status(pid)["SigBlk"], 16)
    return {number for number in range(1, 65) if mask >> number - 1 & 1}
