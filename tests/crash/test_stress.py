from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]


def make_many(kinds: list[str], seed: int, makers: int, each: int) -> None:  # noqa: C901, PLR0915 - a program of its own
    """Several threads make children while others are busy in and out of the GIL."""
    import ctypes
    import hashlib
    import os
    import random
    import signal
    import sys
    import threading
    import zlib

    import ramet
    from ramet import CloneFlag as F
    from ramet import lowlevel

    sys.setswitchinterval(1e-4)
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    going_on = True

    def use_malloc_without_the_gil() -> None:
        libc.free(libc.malloc(random.randrange(1, 200_000)))

    def compress() -> None:
        zlib.decompress(zlib.compress(bytes(50_000)))

    def digest() -> None:
        hashlib.sha256(bytes(100_000)).digest()

    def use_objects() -> None:
        {number: [str(number)] for number in range(500)}

    def keep_busy(work: Callable[[], None]) -> None:
        while going_on:
            work()

    works = [use_malloc_without_the_gil, compress, digest, use_objects]
    busy = [threading.Thread(target=keep_busy, args=(work,)) for work in works]

    def fn() -> tuple[int, bytes]:
        # All that a fork could leave locked: malloc, objects, Python's locks, threads.
        data = zlib.compress(bytes(20_000))
        lock = threading.Lock()
        with lock:
            use_objects()
        return os.getpid(), data

    def clone(flags: F) -> None:
        child = ramet.clone(fn, flags=flags)
        pid, data = child.result()
        assert pid == (os.getpid() if flags & F.THREAD else child.pid)
        assert zlib.decompress(data) == bytes(20_000)

    def fork() -> None:
        pid = ramet.fork()
        if pid == 0:
            code = 1
            try:
                fn()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0) == (pid, 0)

    def vfork() -> None:
        child = ramet.vfork(fn)
        assert child.result()[0] == child.pid

    def vfork_and_exec() -> None:
        assert ramet.vfork(os.execv, "/bin/true", ["true"]).wait().code == 0

    def classic() -> None:
        stack = lowlevel.Stack(1 << 20)
        pid = lowlevel.clone(lambda arg: len(fn()), None, F.VM | 17, stack)
        assert os.waitpid(pid, 0) == (pid, 2 << 8)

    def kill() -> None:
        with ramet.clone(signal.pause, flags=F.VM):
            pass

    def program() -> None:
        assert ramet.run(["/bin/true"], timeout=30).returncode == 0

    ways: dict[str, Callable[[], None]] = {
        "fork": fork,
        "copy": lambda: clone(F(0)),
        "copy-flags": lambda: clone(F.FS | F.FILES),
        "vm": lambda: clone(F.VM),
        "thread": lambda: clone(F.VM | F.SIGHAND | F.THREAD),
        "vfork": vfork,
        "vfork-exec": vfork_and_exec,
        "classic": classic,
        "kill": kill,
        "program": program,
    }
    errors: list[BaseException] = []

    def make(number: int) -> None:
        numbers = random.Random(seed + number)
        try:
            for _ in range(each):
                ways[numbers.choice(kinds)]()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=make, args=(number,)) for number in range(makers)]
    for thread in busy + threads:
        thread.start()
    for thread in threads:
        thread.join()
    going_on = False
    for thread in busy:
        thread.join()
    assert errors == []


@pytest.mark.parametrize(
    ("kinds", "makers", "each"),
    [
        (["fork", "copy"], 3, 40),
        (["copy-flags"], 3, 40),
        (["vm", "thread", "classic"], 4, 100),
        (["vfork", "vfork-exec", "program"], 4, 100),
        (
            [
                "fork",
                "copy",
                "copy-flags",
                "vm",
                "thread",
                "classic",
                "vfork",
                "vfork-exec",
                "program",
                "kill",
            ],
            4,
            60,
        ),
    ],
    ids=["forks", "copies", "shared", "vforks", "all"],
)
def test_nothing_hangs(
    in_new_python: Start, seed: int, kinds: list[str], makers: int, each: int
) -> None:
    """Children of every kind are made from several threads beside busy ones, and all end."""
    in_new_python(make_many, kinds, seed, makers, each).finish()
