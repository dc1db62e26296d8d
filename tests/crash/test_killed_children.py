import platform
import random
import signal
from collections.abc import Callable
from typing import Any

import pytest

from ramet import CloneFlag as F

from ..flag_values import FILES, SIGHAND, VM

Start = Callable[..., Any]


def killed_by_the_caller(activity: str, number: int, flags: int, count: int) -> None:
    import threading

    import ramet
    from ramet import CloneFlag as F
    from tests.activities import WITHOUT_END

    for _ in range(count):
        begun = threading.Event()

        def fn(begun: threading.Event = begun) -> None:
            begun.set()
            WITHOUT_END[activity]()

        child = ramet.clone(fn, flags=flags)
        begun.wait()
        child.send_signal(number)
        status = child.wait(30)
        assert status.signal == number, status
    assert ramet.clone(lambda: [1, 2], flags=F.VM).result(30) == [1, 2]
    assert ramet.clone(lambda: [3], flags=0).result(30) == [3]
    ran: list[int] = []
    thread = threading.Thread(target=ran.append, args=(1,))
    thread.start()
    thread.join(30)
    assert ran == [1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
@pytest.mark.parametrize("activity", ["sleep", "spin", "allocate", "call"])
def test_the_caller_kills(in_new_python: Start, activity: str, number: int) -> None:
    """A child in shared memory can be killed in the midst of anything, and the caller goes on."""
    in_new_python(killed_by_the_caller, activity, int(number), VM, 30).finish()


@pytest.mark.parametrize("flags", [VM | SIGHAND, VM | FILES], ids=["sighand", "files"])
def test_the_caller_kills_who_shares_more(in_new_python: Start, flags: int) -> None:
    """Nor does it matter what else is shared."""
    in_new_python(killed_by_the_caller, "allocate", int(signal.SIGKILL), flags, 30).finish()


def killed_while_they_wait_for_a_lock(count: int) -> None:
    import faulthandler
    import os
    import threading

    import ramet
    from ramet import CloneFlag as F
    from tests.waiting import state_of

    def victim(begun: list[int]) -> None:
        lock = threading.Lock()
        lock.acquire()
        begun.append(1)
        lock.acquire()

    for turn in range(count):
        if turn % 100 == 0:
            faulthandler.dump_traceback_later(15, exit=True)
        begun: list[int] = []
        child = ramet.clone(victim, begun, flags=F.VM)
        while not begun or state_of(child.pid) != "S":
            os.sched_yield()
        child.kill()
        assert child.wait(30).signal == 9
        # Its locks are lost, and nobody else's are.
        thread = threading.Thread(target=threading.Lock().acquire)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()


def test_waiting_for_a_lock_is_a_good_moment_to_be_killed(in_new_python: Start) -> None:
    """2,000 children killed while they wait for a lock of their own leave all other locks going.

    Since 3.13 such a child stands in a table of the interpreter's, by an entry on its stack.
    """
    in_new_python(killed_while_they_wait_for_a_lock, 2000).finish()


def dead_by_their_own_hand(way: str, count: int) -> None:  # noqa: C901 - a table of ways, told as branches
    import ctypes
    import os
    import signal
    import threading

    import ramet
    from ramet import CloneFlag as F

    def die() -> None:
        if way == "kill":  # os.kill() does not let go of the GIL
            os.kill(os.getpid(), signal.SIGKILL)
        elif way == "read":
            ctypes.string_at(8)
        elif way == "read without the GIL":
            ctypes.CDLL(None).strlen(ctypes.c_void_p(8))
        elif way == "abort":
            os.abort()
        elif way == "exit":
            os._exit(3)
        else:
            os.execv("/bin/sh", ["sh", "-c", "exit 3"])

    expected = {
        "kill": -signal.SIGKILL,
        "read": -signal.SIGSEGV,
        "read without the GIL": -signal.SIGSEGV,
        "abort": -signal.SIGABRT,
    }.get(way, 3)
    counted: list[int] = []
    going_on = True

    def count_on() -> None:
        while going_on:
            counted.append(len(counted))

    thread = threading.Thread(target=count_on)
    thread.start()
    for turn in range(count):
        flags = F.VM | F.VFORK if turn % 2 else F.VM
        assert ramet.clone(die, flags=flags).wait(30).returncode == expected, (turn, flags)
    before = len(counted)
    while len(counted) == before:
        os.sched_yield()
    going_on = False
    thread.join()


@pytest.mark.parametrize("way", ["kill", "read", "read without the GIL", "abort", "exit", "exec"])
def test_a_child_dies_by_its_own_hand(in_new_python: Start, way: str) -> None:
    """Whether it held the GIL or not, the end of a child leaves the caller and its threads going."""
    in_new_python(dead_by_their_own_hand, way, 60).finish()


def killed_by_others(seed: int, count: int) -> None:
    import ctypes
    import os

    import ramet
    from ramet import CloneFlag as F
    from tests.crash.killers import after_some_work, killer

    with killer(after_some_work, seed) as pids:
        pipe = pids.fileno()
        libc = ctypes.PyDLL(None)  # whose calls keep the GIL
        write, sleep = libc.write, libc.sleep

        def victim() -> None:
            message = b"%d\n" % os.getpid()
            write(pipe, message, len(message))
            sleep(1000)

        for turn in range(count):
            child = ramet.clone(victim, flags=F.VM)
            status = child.wait(30)
            assert status.signal == 9, (turn, status)
            assert sum(bytearray(100)) == 0
    assert ramet.clone(lambda: [1], flags=F.VM).result(30) == [1]


def test_others_kill_who_holds_the_gil(in_new_python: Start) -> None:
    """200 children that hold the GIL, killed by another process, leave the caller alive."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    in_new_python(killed_by_others, seed, 200).finish()


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


def killed_at_random_moments(seed: int, count: int) -> None:
    import random
    import signal
    import threading

    import ramet
    from ramet import CloneFlag as F

    numbers = random.Random(seed)
    kept: list[object] = []

    def victim(size: int) -> None:
        while True:
            text = "".join(map(str, range(size)))
            kept[:] = [bytearray(size), text, {text: size}, text.split("9")]

    def be_busy(rounds: int) -> None:
        for number in range(rounds):
            [number] * 10  # noqa: B018 - it is to take time

    going_on = True

    def other() -> None:
        while going_on:
            be_busy(100)

    threads = [threading.Thread(target=other) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(count):
        child = ramet.clone(victim, numbers.randrange(1, 2000), flags=F.VM)
        be_busy(numbers.randrange(20_000) if turn % 3 else 0)
        child.kill()
        assert child.wait(30).signal == signal.SIGKILL, turn
    going_on = False
    for thread in threads:
        thread.join()
    assert ramet.clone(lambda: [1], flags=F.VM).result(30) == [1]


def test_the_caller_kills_at_random_moments(in_new_python: Start) -> None:
    """200 children killed at random moments of allocating, beside busy threads, hurt nobody."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    in_new_python(killed_at_random_moments, seed, 200).finish()


def end_by_a_thread(way: str, flags: int, depth: int) -> None:
    import os
    import signal
    import threading

    import ramet
    from ramet import CloneFlag as F

    ends: dict[str, Callable[[], object]] = {
        "exit": lambda: os._exit(3),
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "exec": lambda: os.execv("/bin/true", ["true"]),
    }

    def end_all() -> None:
        thread = threading.Thread(target=ends[way])
        thread.start()
        thread.join()

    def end_outer() -> None:
        inner = ramet.clone(end_all, flags=F.VM)
        inner.wait(30)
        end_all()

    child = ramet.clone(end_outer if depth else end_all, flags=flags)
    end = child.wait(30)
    assert (end.code, end.signal) == {
        "exit": (3, None),
        "kill": (None, signal.SIGKILL),
        "exec": (0, None),
    }[way]
    assert threading.enumerate() == [threading.main_thread()]
    assert ramet.clone(os.getpid, flags=F.VM).result(30) != os.getpid()


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("flags", [F.VM.value, (F.VM | F.VFORK).value], ids=["VM", "vfork"])
@pytest.mark.parametrize("way", ["exit", "kill", "exec"])
def test_a_thread_of_the_child_can_end_it(
    in_new_python: Start, way: str, flags: int, depth: int
) -> None:
    """The interpreter lock is free again, which that thread has had as it ended the process."""
    in_new_python(end_by_a_thread, way, flags, depth).finish()
