"""Jobs that run a Python function."""

import math
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Literal

import ramet
from ramet import CloneFlag

from .floors import Floors
from .measure import BY_SIZE, Contender, Job

# Before the measuring process binds itself to one: parallel functions take one each.
PROCESSORS = sorted(os.sched_getaffinity(0))
STEPS = 2_000_000
_WITH_FILES = CloneFlag.VM | CloneFlag.FILES


def jobs(floors: Floors) -> list[Job]:
    """All of them."""
    chosen = [in_shared_memory(floors), in_a_copy()]
    if sys.version_info >= (3, 12, 4) and len(PROCESSORS) > 1:
        chosen.append(on_two_processors())
    return chosen


def in_shared_memory(floors: Floors) -> Job:
    """A function that does nothing, from its start to its result."""
    return Job(
        "a function in shared memory",
        by_size=BY_SIZE,
        by_descriptors=math.inf,  # the kernel copies the table of descriptors
        contenders=[
            Contender("threading.Thread", once=_thread),
            Contender("ramet.vfork", once=lambda: ramet.vfork(_nothing).result(), bar=0.65),
            Contender("ramet.clone(VM)", once=lambda: _clone(CloneFlag.VM), bar=0.85),
            Contender("ramet.clone(VM|FILES)", once=lambda: _clone(_WITH_FILES), bar=0.85),
            Contender("C vfork + wait", median=floors.c("vfork")),
            Contender("ThreadPoolExecutor, a new one", once=lambda: _in_pool(ThreadPoolExecutor)),
        ],
    )


def in_a_copy() -> Job:
    """The same in a memory of its own."""
    return Job(
        "a function in a copy of the memory",
        [
            Contender("os.fork + pipe", once=_fork_and_pipe),
            Contender("ramet.clone", once=lambda: _clone(0), bar=1.1),
            Contender("multiprocessing (fork)", once=_multiprocessing),
            Contender("ProcessPoolExecutor, a new one", once=lambda: _in_pool(_forking_pool)),
        ],
        count=30,
    )


def on_two_processors() -> Job:
    """The same amount of Python twice, at the same time."""
    return Job(
        "functions that compute, at once",
        [
            Contender("one, own interpreter", once=lambda: _compute(1, apart=True)),
            Contender("two, own interpreters", once=lambda: _compute(2, apart=True), bar=1.3),
            Contender("two, copies of the memory", once=lambda: _compute(2, apart=False)),
            Contender("two, threading.Thread", once=_compute_in_threads),
        ],
        count=5,
    )


def _nothing() -> None:
    return None


def _count() -> int:
    total = 0
    for step in range(STEPS):
        total += step
    return total


def _compute(children: int, *, apart: bool) -> None:
    flags = CloneFlag.VM if apart else CloneFlag(0)
    interpreter: Literal["own"] | None = "own" if apart else None
    started = [
        ramet.clone(_count, flags=flags, interpreter=interpreter, cpu_affinity={processor})
        for processor in PROCESSORS[:children]
    ]
    for child in started:
        child.result()


def _compute_in_threads() -> None:
    def count(processor: int) -> None:
        os.sched_setaffinity(0, {processor})
        _count()

    threads = [threading.Thread(target=count, args=(processor,)) for processor in PROCESSORS[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _clone(flags: int) -> None:
    ramet.clone(_nothing, flags=flags).result()


def _thread() -> None:
    thread = threading.Thread(target=_nothing)
    thread.start()
    thread.join()


def _fork_and_pipe() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, b"N.")
        os._exit(0)
    os.close(writing)
    os.read(reading, 100)
    os.close(reading)
    os.waitpid(pid, 0)


def _in_pool(pool: Callable[[int], Executor]) -> None:
    with pool(1) as workers:
        workers.submit(_nothing).result()


def _forking_pool(workers: int) -> Executor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("fork"))


def _multiprocessing() -> None:
    process = multiprocessing.get_context("fork").Process(target=_nothing)
    process.start()
    process.join()
    process.close()
