"""Another process takes children by single steps, and kills each at an instruction chosen at random."""

import platform
import random
from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]


def killed_within_malloc(seed: int, most_steps: int, count: int) -> None:
    import ctypes
    import os
    import threading

    import ramet
    from ramet import CloneFlag as F
    from tests.crash.killers import at_a_random_moment, killer, let_anybody_trace

    libc = ctypes.CDLL(None)  # whose calls give up the GIL
    pattern = b"(a|b)*c" * 300
    compiled = ctypes.create_string_buffer(4096)

    def victim(begun: list[int], room: object, kept: list[bytearray]) -> None:
        kept.extend(bytearray(size) for size in range(600, 5000, 100))
        let_anybody_trace()
        begun.append(1)
        while True:  # hundreds of allocations in each
            libc.regcomp(room, pattern, 1)
            libc.regfree(room)

    def allocate() -> None:
        for size in range(0, 5000, 7):
            bytearray(size)

    with killer(at_a_random_moment, seed, most_steps) as pids:
        for _ in range(count):
            begun: list[int] = []
            kept: list[bytearray] = []
            child = ramet.clone(victim, begun, compiled, kept, flags=F.VM)
            while not begun:
                os.sched_yield()
            print(child.pid, file=pids)
            assert child.wait(30).signal == 9
            kept.clear()  # lies there
            ramet.clone(allocate, flags=F.VM).result(30)
    for _ in range(count):  # one of them may be given what a dead one had
        thread = threading.Thread(target=allocate)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
    assert ramet.clone(lambda: [3], flags=0).result(30) == [3]


@pytest.mark.skipif("glibc" not in "".join(platform.libc_ver()), reason="it is glibc's malloc")
@pytest.mark.parametrize("most_steps", [0, 600], ids=["at any moment", "at any instruction"])
def test_others_kill_who_allocates(in_new_python: Start, most_steps: int) -> None:
    """Children killed by another process within malloc take its lock along, and hang nobody.

    Nor whoever frees what they had allocated, nor a fork, which takes the locks of all arenas. By
    single steps the moments are met that are short: a chunk without its size, a list and its count.
    """
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    in_new_python(killed_within_malloc, seed, most_steps, 60 if most_steps else 40).finish()


def fork_with_arenas_given_up(seed: int) -> None:  # noqa: C901, PLR0915 - a program of its own
    import ctypes
    import hashlib
    import os
    import random
    import threading

    import ramet
    from ramet import CloneFlag as F
    from tests.crash.killers import killer, let_anybody_trace, with_a_lock

    numbers = random.Random(seed)
    libc = ctypes.CDLL(None)  # whose calls give up the GIL
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
    libc.free.argtypes = (ctypes.c_void_p,)
    pattern = b"(a|b)*c" * 30
    compiled = ctypes.create_string_buffer(4096)

    def lock_of_arena() -> int:
        block = libc.malloc(3000)
        libc.free(block)
        heap = block & -(64 << 20)
        return ctypes.c_size_t.from_address(heap).value

    def is_locked(lock: int) -> bool:
        return ctypes.c_int.from_address(lock).value != 0

    def victim(begun: list[int]) -> None:
        let_anybody_trace()
        begun.append(lock_of_arena())
        while True:  # hundreds of allocations in each
            libc.regcomp(compiled, pattern, 1)
            libc.regfree(compiled)

    def allocate() -> None:
        for size in range(1100, 5000, 7):
            libc.free(libc.malloc(size))
        kept = [libc.malloc(size) for size in range(1100, 5000, 7)]
        for block in kept:
            libc.free(block)

    def allocate_twice(
        first: threading.Barrier, second: threading.Barrier, used: list[int]
    ) -> None:
        used.append(lock_of_arena())
        allocate()
        first.wait(20)
        second.wait(20)
        allocate()

    def allocate_in_threads(locks: list[int]) -> int:
        """As many threads as there may be arenas, which are there while a copy is made."""
        count = 20
        first, second = threading.Barrier(count + 1), threading.Barrier(count + 1)
        used: list[int] = []
        threads = [
            threading.Thread(target=allocate_twice, args=(first, second, used), daemon=True)
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        first.wait(20)
        if (pid := os.fork()) == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        second.wait(20)
        for thread in threads:
            thread.join(10)
        if any(thread.is_alive() for thread in threads):
            return 2
        return 0 if set(locks) <= set(used) else 3

    threading.Thread(
        target=hashlib.pbkdf2_hmac, args=("sha256", b"", b"", (1 << 31) - 1), daemon=True
    ).start()  # which computes without pause: so nobody mends
    given_up: list[int] = []
    with killer(with_a_lock) as pids:
        for _ in range(4):
            begun: list[int] = []
            child = ramet.clone(victim, begun, flags=F.VM)
            while not begun:
                os.sched_yield()
            print(child.pid, begun[0], numbers.randrange(1, 200), file=pids)
            assert child.wait(30).signal == 9
            ramet.clone(lambda: None, flags=F.VM).result(30)
            given_up += [lock for lock in begun if is_locked(lock)]
    assert given_up
    if (pid := os.fork()) == 0:
        code = 1
        try:
            code = allocate_in_threads(given_up)
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os._exit(code if all(map(is_locked, given_up)) else 4)  # the end would free what lies there


@pytest.mark.skipif("glibc" not in "".join(platform.libc_ver()), reason="it is glibc's malloc")
def test_a_fork_with_arenas_given_up(in_new_python: Start) -> None:
    """In a copy threads are given the arenas that were given up, and can allocate there, whoever forks.

    An arena is given up when its lock died with its holder, and another thread computes without pause.
    """
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    in_new_python(fork_with_arenas_given_up, seed).finish()


def killed_in_and_out_of_the_gil(seed: int, count: int) -> None:
    import ctypes
    import os
    import threading

    import ramet
    from ramet import CloneFlag as F
    from tests.crash.killers import at_a_random_moment, killer, let_anybody_trace

    libc = ctypes.CDLL(None)  # whose calls give up the GIL and take it again
    going_on = True

    def call() -> None:
        while going_on:
            libc.getppid()

    def victim(begun: list[int]) -> None:
        let_anybody_trace()
        begun.append(1)
        call()

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    with killer(at_a_random_moment, seed, 2000) as pids:
        for _ in range(count):
            begun: list[int] = []
            child = ramet.clone(victim, begun, flags=F.VM)
            while not begun:
                os.sched_yield()
            print(child.pid, file=pids)
            assert child.wait(30).signal == 9
    going_on = False
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.skipif("glibc" not in "".join(platform.libc_ver()), reason="musl's locks tell nothing")
def test_others_kill_who_takes_and_gives_up_the_gil(in_new_python: Start) -> None:
    """At whatever instruction of it a child dies, its caller's threads have the GIL again.

    It may have it, or half of it, wait for it, have been woken for it, or be about to wake another.
    """
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    in_new_python(killed_in_and_out_of_the_gil, seed, 40).finish()
