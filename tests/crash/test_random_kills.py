import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from ..constants import repeated

Start = Callable[..., Any]

# RAMET_LONG=1 kills thousands; else it is as many as take some seconds.
LONG = os.environ.get("RAMET_LONG") == "1"
CALLERS = 20 if LONG else 2
KILLS = 250 if LONG else repeated(60)

ACTIVITIES = [
    *("python", "allocate", "malloc", "numpy", "files", "locks", "forks"),
    *("threads of the caller", "threads of the child"),
]


def kill_at_random_moments(activity: str, seed: int, count: int) -> None:  # noqa: C901 - a program of its own
    import ctypes
    import os
    import random
    import threading

    import ramet
    from ramet import CloneFlag as F
    from tests.activities import ONCE
    from tests.waiting import a_random_moment

    numbers = random.Random(seed)
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    shared_lock = threading.Lock()

    def malloc() -> None:
        libc.free(libc.malloc(50_000))

    if activity == "numpy":
        import numpy as np

        matrix = np.arange(90_000.0).reshape(300, 300)
    works: dict[str, Callable[[], object]] = {
        **ONCE,
        "malloc": malloc,
        "forks": lambda: ramet.clone(os.getpid).result(),
        "numpy": lambda: (matrix * 2 + 1).sum(),
        "threads of the caller": ONCE["python"],
        "threads of the child": malloc,
    }
    work = works[activity]
    work()  # tempfile finds its folder: in a call that a victim would leave half done
    going_on = True

    def be_busy() -> None:
        while going_on:
            work()

    threads = [threading.Thread(target=be_busy) for _ in range(activity.endswith("caller") * 2)]
    for thread in threads:
        thread.start()

    def be_busy_too(begun: threading.Event) -> None:
        begun.set()
        be_busy()

    def victim(begun: list[int]) -> None:
        for _ in range(activity.endswith("child") * 2):
            busy = threading.Event()
            threading.Thread(target=be_busy_too, args=(busy,)).start()
            busy.wait()
        while True:
            begun.append(1)
            work()
            del begun[:]

    for _ in range(count):
        begun: list[int] = []
        child = ramet.clone(victim, begun, flags=F.VM)
        while not begun and child.poll() is None:
            os.sched_yield()
        a_random_moment(numbers, 1 / 500)
        child.kill()
        assert child.wait().signal == 9
        work()  # the caller can do the same still
        with shared_lock:
            assert ramet.clone(lambda: [1], flags=F.VM).result() == [1]
    going_on = False
    for thread in threads:
        thread.join()


@pytest.mark.timeout(1800 if LONG else 120)
@pytest.mark.parametrize("activity", ACTIVITIES)
def test_every_caller_survives(in_new_python: Start, activity: str) -> None:
    """Children killed by their caller at random moments of what they do leave it able to do that."""
    if activity == "numpy":
        pytest.importorskip("numpy", reason="numpy is not installed")
    seeds = [random.randrange(1 << 30) for _ in range(CALLERS)]
    print(f"seeds {seeds}")
    died = []
    for seed in seeds:
        try:
            in_new_python(kill_at_random_moments, activity, seed, KILLS).finish()
        except AssertionError as error:
            died.append(f"{seed}: {str(error)[:2000]}")
    assert not died, f"{len(died)} of {len(seeds)} callers did not survive: {died}"
