"""Measuring in rounds, each contender in its turn, so that a drift of the machine affects all alike."""

import os
import statistics
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

ROUND_SECONDS = 0.12
LEAST_CALLS = 3

BY_SIZE, BY_DESCRIPTORS = 1.1, 1.5


@dataclass
class Contender:
    """One way to do a job: `once` does it, or `median` measures itself and gives nanoseconds.

    ``bar``: the ratio to the job's first contender that the design asks for.
    """

    name: str
    once: Callable[[], object] | None = None
    median: Callable[[int], float] | None = None
    bar: float | None = None
    medians: list[float] = field(default_factory=list)

    def measure(self, count: int) -> None:
        """One round of at most that many calls."""
        if self.median is not None:
            self.medians.append(self.median(count))
            return
        assert self.once is not None
        times: list[int] = []
        end = time.monotonic() + ROUND_SECONDS
        while len(times) < count and (len(times) < LEAST_CALLS or time.monotonic() < end):
            begun = time.perf_counter_ns()
            self.once()
            times.append(time.perf_counter_ns() - begun)
        self.medians.append(statistics.median(times))


@dataclass
class Job:
    """Contenders for one job; the ratios are to the first.

    ``by_size``, ``by_descriptors``: by how many times the ratio of a contender with a bar may be
    higher in a large process, and in one with many descriptors open, where the bar itself does not
    hold then. ``unit``: of what is measured, "ns" or "bytes". ``opened``: what to close with the job.
    ``processors``: that all of it may use; None: the measuring process's one.
    """

    name: str
    contenders: list[Contender]
    count: int = 200
    by_size: float | None = None
    by_descriptors: float | None = None
    unit: str = "ns"
    opened: ExitStack = field(default_factory=ExitStack)
    processors: Collection[int] | None = None


@dataclass(frozen=True)
class Result:
    """What one contender takes: the median of its rounds' medians, and their spread."""

    job: str
    contender: str
    bar: float | None
    by_size: float | None
    by_descriptors: float | None
    unit: str
    value: float
    low: float
    high: float
    ratio: float


def run(job: Job, rounds: int) -> list[Result]:
    """All contenders in turn, `rounds` times."""
    with bound_to(job.processors), job.opened:
        return _results(job, rounds)


@contextmanager
def bound_to(processors: Collection[int] | None) -> Iterator[None]:
    """This thread may use these, and so may what it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if processors is None else processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _results(job: Job, rounds: int) -> list[Result]:
    for contender in job.contenders:  # what is done only once does not count
        contender.measure(LEAST_CALLS)
        contender.medians.clear()
    for _ in range(rounds):
        for contender in job.contenders:
            contender.measure(job.count)
    floor = statistics.median(job.contenders[0].medians)
    return [
        Result(
            job.name,
            contender.name,
            contender.bar,
            job.by_size,
            job.by_descriptors,
            job.unit,
            statistics.median(contender.medians),
            min(contender.medians),
            max(contender.medians),
            statistics.median(contender.medians) / floor,
        )
        for contender in job.contenders
    ]
