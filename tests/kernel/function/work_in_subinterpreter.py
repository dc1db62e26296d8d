"""What test_in_subinterpreter.py runs in interpreters of their own, which find it by import."""

import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

count = 0
kept: Any = None


class Point:
    def __init__(self, x: int) -> None:
        self.x = x

    def moved(self, by: int) -> "Point":
        return Point(self.x + by)


class Refused(Exception):  # noqa: N818 - an exception of no importance
    pass


def refuse(word: str) -> None:
    raise Refused(word)


def count_calls() -> int:
    global count
    count += 1
    return count


def keep(memory: memoryview) -> None:
    global kept
    kept = memory[:1]


def fill(memory: memoryview, first: int, end: int, value: int) -> int:
    for place in range(first, end):
        memory[place] = value
    return memory.nbytes


def described(view: memoryview) -> tuple[Any, ...]:
    return type(view).__name__, view.format, view.shape, view.readonly, view.tolist()


def nested(value: dict[str, Sequence[Any]]) -> tuple[bool, Any]:
    first, second = value["both"]
    return first is second, first[0]


def wait_for(memory: memoryview, value: int) -> None:
    """Until the first byte is that; it says that it waits in the second."""
    memory[1] = 1
    while memory[0] != value:
        os.sched_yield()


def backtrack(memory: memoryview) -> None:
    """Never comes to an end, and never lets go of the GIL."""
    memory[0] = 1
    re.fullmatch("(a|a)*b", "a" * 60)


def spin(memory: memoryview) -> None:
    try:
        while True:
            memory[0] = 1
    finally:
        memory[1] = 1


def thread_that_outlives_the_function(memory: memoryview) -> str:
    def work() -> None:
        memory[0] = 7 * bool(sum(range(3_000_000)))  # which takes a while

    threading.Thread(target=work).start()
    return threading.current_thread().name


def leave_a_daemon() -> int:
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    return 5


def crash() -> None:
    import ctypes  # before 3.13 it cannot be imported there

    ctypes.string_at(0)


def recurse() -> None:
    recurse()


def recurse_in_c() -> str:
    nested: list[Any] = []
    for _ in range(1_000_000):
        nested = [nested]
    return repr(nested)


def uses_ramet() -> None:
    import ramet

    ramet.clone(os.getpid)


def names() -> tuple[str, str]:
    with open("/proc/thread-self/comm") as comm:
        return comm.read().strip(), threading.current_thread().name


def surroundings() -> tuple[list[str], str | None]:
    return sys.argv, os.environ.get("RAMET_TEST")


def types_of(values: list[object]) -> list[str]:
    return [type(value).__name__ for value in values]
