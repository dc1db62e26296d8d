"""Jobs that run a function in a process that has numpy: a fresh one for each call, or one that is kept."""

import functools
import importlib.util
import mmap
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import ramet

from . import called
from .floors import Floors
from .measure import BY_SIZE, Contender, Job, bound_to

T = TypeVar("T")

# Before the measuring process binds itself to one.
PROCESSORS = sorted(os.sched_getaffinity(0))
GAP_SECONDS = 0.003
ALIVE = 1000
ARRAY_BYTES = 100_000_000
CALLS = 100  # of one processor, where throughput is measured


def jobs(floors: Floors) -> list[Job]:
    """All of them."""
    multiprocessing.set_forkserver_preload([called.__name__])
    chosen = [
        made_ahead("typical", statistics.median, bar=0.6),
        made_ahead("slowest of a hundred", _slowest, bar=1.0),
        cloned_at_the_call(floors),
        beside("forkserver", 0.2),
        beside("spawn", 0.05),
        kept(),
        a_large_array(),
        alive_made(floors),
        alive_memory(),
    ]
    if len(PROCESSORS) > 1:
        chosen.append(throughput())
        chosen += map(on_two_processors, (cloned_at_the_call(floors), alive_made(floors)))
    return chosen


def made_ahead(name: str, of: Callable[[list[int]], float], bar: float) -> Job:
    """A call now and then, for which a process is ready."""
    job = Job(f"a call now and then, {name}", [], by_size=BY_SIZE)
    pool = opened(job, warm_pool)
    template = opened(job, lambda: ramet.Template(preload=["numpy", called.__name__], spares=1))
    job.contenders += [
        Contender("ProcessPoolExecutor, warm", median=paced(lambda: _submit(pool()), of)),
        Contender("ramet, a fresh spare", median=paced(lambda: _clone(template()), of), bar=bar),
    ]
    for rival, once in _other_pools(job):
        job.contenders.append(Contender(rival, median=paced(once, of)))
    return job


def cloned_at_the_call(floors: Floors) -> Job:
    """A fresh process for each call, none ahead."""
    job = Job("a fresh process for each call", [], by_size=BY_SIZE)
    template = opened(job, lambda: ramet.Template(preload=["numpy", called.__name__], spares=0))
    one_task = opened(job, lambda: _pool("forkserver", max_tasks_per_child=1))
    job.contenders += [
        Contender("C clone, byte, exit, wait there", median=floors.in_clone("calls")),
        Contender("ramet, spares=0", once=lambda: _clone(template()), bar=1.15),
        Contender("os.fork, byte, exit, wait there", median=floors.in_clone("forks")),
        Contender("forkserver", once=lambda: _process("forkserver")),
        Contender("spawn", once=lambda: _process("spawn")),
        Contender("ProcessPoolExecutor, one task", once=lambda: _submit(one_task())),
    ]
    return job


def beside(method: str, bar: float) -> Job:
    """The same, as a ratio to multiprocessing's."""
    job = Job(f"a fresh process, beside {method}", [], by_size=BY_SIZE)
    template = opened(job, lambda: ramet.Template(preload=["numpy", called.__name__], spares=0))
    job.contenders += [
        Contender(method, once=lambda: _process(method)),
        Contender("ramet, spares=0", once=lambda: _clone(template()), bar=bar),
    ]
    return job


def kept() -> Job:
    """A process that serves one call after the other."""
    job = Job("calls in one process", [], by_size=BY_SIZE)
    pool = opened(job, warm_pool)
    executor = opened(job, lambda: _executor(reuse=1000))
    job.contenders += [
        Contender("ProcessPoolExecutor, warm", once=lambda: _submit(pool())),
        Contender("ramet.Executor, reuse=1000", once=lambda: _submit(executor()), bar=0.5),
    ]
    job.contenders += [Contender(rival, once=once) for rival, once in _other_pools(job)]
    return job


def a_large_array() -> Job:
    """100 MB to a child, and changed ones back."""
    job = Job("100 MB there and back", [], count=5)
    array = np.ones(ARRAY_BYTES // 8)
    template = opened(job, lambda: ramet.Template(preload=["numpy", called.__name__], spares=1))
    pool = opened(job, warm_pool)

    def copy_twice() -> None:
        for _ in range(2):
            with mmap.mmap(-1, ARRAY_BYTES, mmap.MAP_PRIVATE) as memory:
                memory.write(memoryview(array).cast("B"))

    job.contenders += [
        Contender("two memcpy, to new memory", once=copy_twice),
        Contender("ramet, a fresh spare", once=lambda: _there_and_back(template(), array), bar=1.3),
        Contender("two numpy copies, huge pages", once=lambda: (array.copy(), array.copy())),
        Contender(
            "ProcessPoolExecutor, warm", once=lambda: pool().submit(called.changed, array).result()
        ),
    ]
    return job


def on_two_processors(job: Job) -> Job:
    """The same where the clone runs beside its caller and its template."""
    job.name += ", on two processors"
    job.processors = PROCESSORS[-2:]
    return job


def throughput() -> Job:
    """Fresh calls on one processor, and twice as many on two."""
    job = Job("fresh calls on two processors", [], count=3)
    one = opened(job, lambda: _bound(PROCESSORS[-1:], lambda: _executor(max_workers=1)))
    two = opened(job, lambda: _bound(PROCESSORS[-2:], lambda: _executor(max_workers=2)))
    job.contenders += [
        Contender("one processor", once=lambda: _many(one(), CALLS)),
        Contender("twice as many on two", once=lambda: _many(two(), 2 * CALLS), bar=1 / 0.85),
    ]
    return job


def alive_made(floors: Floors) -> Job:
    """The time in which a thousand children are made."""
    return Job(
        "1,000 children at once",
        [
            Contender("C clone there", median=lambda _: floors.in_clone("alive")(ALIVE)),
            Contender("ramet", median=lambda _: _alive()[0], bar=1.5),
        ],
    )


def alive_memory() -> Job:
    """What each of them takes: its share of what several have, and what it has alone."""
    memory = functools.cache(lambda: _alive()[1])  # it is not a question of time
    return Job(
        "memory of each of 1,000 children",
        [
            Contender("3 MB", median=lambda _: 3e6),
            Contender("ramet, PSS", median=lambda _: memory(), bar=1.0),
        ],
        unit="bytes",
    )


# ---- the ways to call


def _clone(template: Any) -> None:
    template.clone(called.nothing).result()


def _submit(pool: Executor) -> None:
    pool.submit(called.nothing).result()


def _process(method: str) -> None:
    process = multiprocessing.get_context(method).Process(target=called.nothing)  # type: ignore[attr-defined]
    process.start()
    process.join()
    process.close()


def _there_and_back(template: Any, array: np.ndarray) -> None:
    template.clone(called.changed, array).result()


def _many(executor: Executor, count: int) -> None:
    for future in [executor.submit(called.nothing) for _ in range(count)]:
        future.result()


def _alive() -> tuple[float, float]:
    """The nanoseconds in which so many were made, and the bytes of each when all are in their calls."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with (
        ramet.Template(preload=["numpy", called.__name__], spares=0) as template,
        ExitStack() as children,
    ):
        begun = time.perf_counter_ns()
        made = [children.enter_context(template.clone(called.stopped)) for _ in range(ALIVE)]
        took = time.perf_counter_ns() - begun
        for child in made:
            os.waitid(os.P_PIDFD, child.fileno(), os.WSTOPPED | os.WNOWAIT)
        return took, statistics.mean(_pss(child.pid) for child in made)


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


# ---- the pools, each with one process that has numpy


def _pool(method: str, **how: Any) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context(method), **how)


def warm_pool() -> ProcessPoolExecutor:
    return _pool("forkserver")


def _executor(**how: Any) -> Executor:
    return ramet.Executor(preload=["numpy", called.__name__], **({"max_workers": 1} | how))


def _other_pools(job: Job) -> list[tuple[str, Callable[[], object]]]:
    """A call to those of the libraries that are installed: see the extra `bench`."""
    found: list[tuple[str, Callable[[], object]]] = []
    if importlib.util.find_spec("loky"):
        import loky

        warm = opened(job, lambda: loky.ProcessPoolExecutor(1))
        found.append(("loky, warm", lambda: _submit(warm())))
    if importlib.util.find_spec("pebble"):
        import pebble

        context = multiprocessing.get_context("forkserver")
        kept = opened(job, lambda: pebble.ProcessPool(1, context=context))
        found.append(("pebble, warm", lambda: kept().schedule(called.nothing).result()))
    return found


def _bound(processors: list[int], make: Callable[[], T]) -> T:
    """Made by a thread that may use these; what it starts may as well."""
    with bound_to(processors):
        return make()


# ---- measuring


def opened(job: Job, make: Callable[[], AbstractContextManager[T]]) -> Callable[[], T]:
    """What gives the same one each time, made at the first, and closed with the job."""
    return functools.cache(lambda: job.opened.enter_context(make()))


def paced(
    once: Callable[[], object], of: Callable[[list[int]], float], gap: float = GAP_SECONDS
) -> Callable[[int], float]:
    """One figure of calls that come some milliseconds after the one before."""

    def measure(count: int) -> float:
        times = []
        for _ in range(count):
            time.sleep(gap)
            begun = time.perf_counter_ns()
            once()
            times.append(time.perf_counter_ns() - begun)
        return of(times)

    return measure


def _slowest(times: list[int]) -> float:
    """The 99th percentile."""
    return sorted(times)[len(times) * 99 // 100]
