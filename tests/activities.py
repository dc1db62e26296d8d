"""What functions in children do while they are killed; those of a new interpreter import it as well."""

import functools
import re
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any


@functools.cache
def _libc() -> Any:
    import ctypes  # Python 3.12 has none in an interpreter with a lock of its own

    return ctypes.CDLL(None)


def hang() -> None:
    """Sleep for longer than any test."""
    time.sleep(1000)


def spin() -> None:
    """Compute, and let go of the interpreter lock when asked."""
    while True:
        pass


def backtrack() -> None:
    """Compute for years, and never let go of the interpreter lock."""
    re.match(r"(a|a)*b", "a" * 60)


def allocate() -> None:
    """Take memory from Python's allocator and give it back."""
    while True:
        allocate_once()


def call() -> None:
    """Let go of the interpreter lock and take it again."""
    getppid = _libc().getppid
    while True:
        getppid()


def nap() -> None:
    """Let others run, time after time."""
    while True:
        time.sleep(0)


def wait_for_a_lock() -> None:
    """Hold a lock, and wait for it."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def thread_that_hangs(daemon: bool = False) -> threading.Thread:
    """Start one, and come back when it runs."""
    begun = threading.Event()

    def run() -> None:
        begun.set()
        hang()

    thread = threading.Thread(target=run, daemon=daemon)
    thread.start()
    begun.wait()
    return thread


def native_thread() -> None:
    """Start a thread that hangs, and that Python knows nothing of."""
    import ctypes

    thread = ctypes.c_void_p()
    assert _libc().pthread_create(ctypes.byref(thread), None, _libc().pause, None) == 0


def is_done_by_everybody(fn: Callable[[], bool]) -> bool:
    """Whether it can be done here, in shared memory, in a copy, and here again."""
    import ramet
    from ramet import CloneFlag as F

    children = (ramet.clone(fn, flags=flags).result() for flags in (F.VM, F.FS))
    return fn() and all(children) and fn()


WITHOUT_END: dict[str, Callable[[], None]] = {
    "sleep": hang,
    "spin": spin,
    "backtrack": backtrack,
    "allocate": allocate,
    "call": call,
    "nap": nap,
    "lock": wait_for_a_lock,
}


def look_up_once() -> None:
    """Make a dict, and read it."""
    values = {str(number): number for number in range(50)}
    sum(values[key] for key in sorted(values))


def allocate_once() -> None:
    """Take blocks of many sizes, and dicts and lists, and give them back."""
    [bytearray(number) for number in range(0, 3000, 7)]
    [{number: [number]} for number in range(300)]


def write_once() -> None:
    """Write a file and read it."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(20_000))
        file.seek(0)
        file.read()


def lock_once() -> None:
    """Wait for a lock until the time is up."""
    lock = threading.Lock()
    with lock:
        lock.acquire(timeout=0.0001)


ONCE: dict[str, Callable[[], None]] = {
    "python": look_up_once,
    "allocate": allocate_once,
    "files": write_once,
    "locks": lock_once,
}
