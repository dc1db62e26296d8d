import re
import signal
import threading
import time
from collections.abc import Callable

import pytest

import ramet
from ramet import ChildDied, ExitStatus
from ramet import CloneFlag as F

SECONDS = 60.0
DEADLINE = ExitStatus(signal=signal.SIGKILL, reason="deadline")


def backtrack() -> object:
    """It takes years, and never lets go of the interpreter lock."""
    return re.match(r"(a|a)*b", "a" * 60)


def spin() -> None:
    while True:
        pass


def allocate() -> None:
    while True:
        [bytearray(number) for number in range(0, 3000, 7)]


def wait_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@pytest.mark.parametrize(
    "fn", [backtrack, spin, allocate, wait_for_a_lock, lambda: time.sleep(1000)]
)
def test_a_deadline_is_kept(fn: Callable[[], object], nothing_left: object) -> None:
    """Whatever the function does, it is killed at its deadline, and its caller goes on."""
    begun = time.monotonic()
    child = ramet.clone(fn, flags=F.VM, timeout=0.05)
    with pytest.raises(ChildDied, match="deadline"):
        child.result(SECONDS)
    assert child.wait() == DEADLINE
    assert time.monotonic() - begun >= 0.05
    assert ramet.clone(lambda: [1], flags=F.VM).result(SECONDS) == [1]


def test_who_is_in_time_is_left_alone(nothing_left: object) -> None:
    """A function that ends before its deadline has its result, and the next one no deadline."""
    for number in range(30):
        child = ramet.clone(int, number, flags=F.VM, timeout=0.5)
        assert child.result(SECONDS) == number
        assert child.exit_status == ExitStatus(code=0, reason="exited")
    end = threading.Event()
    child = ramet.clone(end.wait, flags=F.VM)
    with pytest.raises(ramet.TimeoutExpired):
        child.wait(1.0)
    end.set()
    assert child.result(SECONDS) is True


def test_many_deadlines(nothing_left: object) -> None:
    """Children side by side each have their own."""
    children = [ramet.clone(spin, flags=F.VM, timeout=0.01 * number) for number in range(10)]
    assert [child.wait(SECONDS) for child in children] == [DEADLINE] * 10


@pytest.mark.parametrize(
    "flags", [F(0), F.FS, F.VM | F.VFORK, F.VM | F.SIGHAND | F.THREAD], ids=str
)
def test_only_a_process_in_shared_memory_has_one(flags: F) -> None:
    """For others it is refused, and the error says what there is instead."""
    with pytest.raises(ValueError, match="wait"):
        ramet.clone(int, flags=flags, timeout=1)


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_what_is_no_time_is_refused(timeout: float) -> None:
    """The same error as for a wait."""
    with pytest.raises(ValueError, match="timeout"):
        ramet.clone(int, flags=F.VM, timeout=timeout)
