import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import ramet
from ramet._limits.python_stack import answer_stack_requests, asked_stack, stack_file

from ...activities import WITHOUT_END, hang
from ...constants import SECONDS
from ...waiting import until

ASKS = signal.SIGRTMAX - 1
THREADS, LEVELS = 60, 40


@pytest.fixture
def file() -> Iterator[int]:
    descriptor = stack_file()
    yield descriptor
    os.close(descriptor)


@contextmanager
def answering(file: int, *first: Callable[[], object]) -> Iterator[ramet.Child[None]]:
    """A child that can be asked, and has done all of that but the last."""
    reader, ready = os.pipe()

    def run() -> None:
        answer_stack_requests(file)
        for fn in first[:-1]:
            fn()
        os.write(ready, b"x")
        first[-1]()

    try:
        with ramet.clone(run) as child:
            assert os.read(reader, 1) == b"x"
            yield child
    finally:
        os.close(reader)
        os.close(ready)


@pytest.mark.parametrize("activity", ["backtrack", "spin", "lock", "sleep"])
def test_a_stack_says_where_a_function_stands(
    activity: str, file: int, nothing_left: object
) -> None:
    """A child that hangs says in which function it is, in Python, in C or in a system call."""
    hangs = WITHOUT_END[activity]
    with answering(file, hangs) as child:
        until(lambda: f" in {hangs.__name__}\n" in asked_stack(child.fileno(), file, SECONDS))
        assert " in run\n" in asked_stack(child.fileno(), file, SECONDS)


def deep(begun: threading.Semaphore, levels: int = LEVELS) -> None:
    if levels:
        deep(begun, levels - 1)
    begun.release()
    hang()


def start_many() -> None:
    begun = threading.Semaphore(0)
    for _ in range(THREADS):
        threading.Thread(target=deep, args=(begun,), daemon=True).start()
    for _ in range(THREADS):
        begun.acquire()


def test_an_answer_comes_whole(file: int, nothing_left: object) -> None:
    """Whatever its length, the stack of each thread is in it to the outermost call."""
    with answering(file, start_many, hang) as child:
        for _ in range(5):
            told = asked_stack(child.fileno(), file, SECONDS)
            assert told.count("hread 0x") == THREADS + 1
            assert told.count(" in deep\n") == THREADS * (LEVELS + 1)
            assert told.count(" in _bootstrap\n") == THREADS
            assert told.count(" in run\n") == THREADS + 1


def test_each_answer_is_returned_once(file: int, nothing_left: object) -> None:
    """What was written before is left out."""
    os.write(file, b"a crash of before\n")
    with answering(file, hang) as child:
        told = [asked_stack(child.fileno(), file, SECONDS) for _ in range(2)]
    assert all("before" not in one and one.count(" in run\n") == 1 for one in told)


def block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [ASKS])


def test_no_answer_is_waited_for_in_vain(file: int, nothing_left: object) -> None:
    """A process that blocks the signal, is stopped or has ended gives no stack."""
    with answering(file, block, hang) as child:
        assert asked_stack(child.fileno(), file, 0.01) == ""
    with answering(file, hang) as child:
        child.stop()
        assert asked_stack(child.fileno(), file, 0.01) == ""
        child.kill()
        os.waitid(os.P_PIDFD, child.fileno(), os.WEXITED | os.WNOWAIT)
        assert asked_stack(child.fileno(), file, SECONDS) == ""


def test_who_would_end_by_the_signal_is_not_asked(file: int, nothing_left: object) -> None:
    """A process that has never said that it answers, and one that is another program by now."""
    with ramet.clone(hang) as child:
        assert asked_stack(child.fileno(), file, SECONDS) == ""
        assert child.poll() is None
    with answering(file, lambda: os.execv("/bin/sleep", ["sleep", "1000"])) as child:
        until(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "sleep\n")
        assert asked_stack(child.fileno(), file, SECONDS) == ""
        assert child.poll() is None
