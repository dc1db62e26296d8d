import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12, 4), reason="an interpreter with a GIL of its own needs Python 3.12.4"
)

Start = Callable[..., Any]

# RAMET_LONG=1 kills hundreds; else it is as many as take some seconds.
LONG = os.environ.get("RAMET_LONG") == "1"
KILLS = 200 if LONG else 15

ACTIVITIES = ["python", "allocate", "files", "locks", "threads", "imports"]


def kill_at_random_moments(activity: str, seed: int, count: int) -> None:
    import os
    import random

    import ramet
    from ramet import CloneFlag as F
    from tests.waiting import a_random_moment

    numbers = random.Random(seed)

    def victim(begun: bytearray, activity: str) -> None:
        import importlib
        import sys
        import threading

        from tests.activities import ONCE

        def threads() -> None:
            started = [threading.Thread(target=ONCE["python"]) for _ in range(3)]
            for thread in started:
                thread.start()
            for thread in started:
                thread.join()

        def imports() -> None:
            for name in ("_bisect", "_random", "_struct", "array", "_json"):
                sys.modules.pop(name, None)
                importlib.import_module(name)

        works = {**ONCE, "threads": threads, "imports": imports}
        works[activity]()
        while True:
            begun[0] = 1
            works[activity]()
            begun[0] = 0

    for _ in range(count):
        begun = bytearray(1)
        child = ramet.clone(victim, begun, activity, flags=F.VM, interpreter="own")
        while not begun[0] and child.poll() is None:
            os.sched_yield()
        a_random_moment(numbers, 1 / 300)
        child.kill()
        assert child.wait().signal == 9
        begun.extend(b"given back")
        assert ramet.clone(abs, -3, flags=F.VM, interpreter="own").result() == 3
        assert ramet.clone(abs, -4, flags=F.VM).result() == 4
        assert ramet.clone(abs, -5).result() == 5


@pytest.mark.timeout(1800 if LONG else 120)
@pytest.mark.parametrize("activity", ACTIVITIES)
def test_every_caller_survives(in_new_python: Start, activity: str, seed: int) -> None:
    """Children killed at random moments of what they do leave their caller, and the next child, well."""
    in_new_python(kill_at_random_moments, activity, seed, KILLS).finish()


def leave_children(activity: str, way: str) -> None:
    """Make three children, tell their pids, and end the program at a line of input."""
    import os
    import sys
    import warnings

    import ramet
    from ramet import CloneFlag as F

    warnings.simplefilter("ignore", ResourceWarning)

    def fn(begun: bytearray, place: int, activity: str) -> None:
        from tests.activities import WITHOUT_END

        begun[place] = 1
        WITHOUT_END[activity]()

    begun = bytearray(3)
    children = [
        ramet.clone(fn, begun, place, activity, flags=F.VM, interpreter="own") for place in range(3)
    ]
    while 0 in begun:
        os.sched_yield()
    print(*(child.pid for child in children), flush=True)
    sys.stdin.readline()
    if way == "raise":
        raise LookupError("at the end")
    if way == "hard exit":
        os._exit(3)


@pytest.mark.parametrize("activity", ["sleep", "spin", "backtrack"])
@pytest.mark.parametrize(("way", "code"), [("return", 0), ("raise", 1), ("hard exit", 3)])
def test_the_end_of_the_program_is_theirs(
    in_new_python: Start, activity: str, way: str, code: int
) -> None:
    """A program that ends does not hang on them, in whatever way it ends, and leaves none."""
    program = in_new_python(leave_children, activity, way)
    program.watch()
    program.go_on()
    program.finish(code)
    assert program.all_gone()


@pytest.mark.parametrize("activity", ["sleep", "backtrack"])
def test_none_survives_its_caller(in_new_python: Start, activity: str) -> None:
    """When the caller is killed they die."""
    program = in_new_python(leave_children, activity, "return")
    program.watch()
    program.kill()
    assert program.all_gone()


def rest_at_the_end() -> None:
    import time

    import ramet
    from ramet import CloneFlag as F

    for child in [ramet.clone(abs, -1, flags=F.VM, interpreter="own") for _ in range(3)]:
        assert child.result() == 1
    killed = ramet.clone(time.sleep, 1000, flags=F.VM, interpreter="own")
    killed.kill()
    killed.wait()


def test_python_ends_with_interpreters_at_rest(in_new_python: Start) -> None:
    """Python ends quietly with some that wait for the next child, and one whose child was killed."""
    program = in_new_python(rest_at_the_end)
    output, errors = program.process.communicate(timeout=60)
    assert (program.process.returncode, output, errors) == (0, b"", b"")
