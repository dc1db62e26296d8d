"""`python -m benchmarks.bare LIBRARY calls|alive|forks COUNT`: the floor in a process like a template."""

import ctypes
import gc
import os
import statistics
import sys
import time

from ramet._workers.in_template import template_process  # noqa: F401 - what a template has loaded

from . import called  # noqa: F401 - and what was preloaded


def forks(count: int) -> int:
    """What calls() of bare.c does, by os.fork(), which is what a child that runs Python needs."""
    there, back = os.pipe(), os.pipe()
    times = []
    for _ in range(count):
        begun = time.perf_counter_ns()
        pid = os.fork()
        if pid == 0:
            os.write(back[1], os.read(there[0], 1))
            os._exit(0)
        os.write(there[1], b".")
        os.read(back[0], 1)
        os.waitpid(pid, 0)
        times.append(time.perf_counter_ns() - begun)
    return int(statistics.median(times))


def main(library: str, name: str, count: str) -> None:
    """Print the nanoseconds."""
    gc.collect()
    gc.freeze()
    if name == "forks":
        print(forks(int(count)))
        return
    measure = getattr(ctypes.CDLL(library), name)
    measure.restype = ctypes.c_long
    print(measure(int(count)))


if __name__ == "__main__":
    main(*sys.argv[1:])
