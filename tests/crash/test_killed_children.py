import signal
from collections.abc import Callable
from typing import Any

import pytest

from ramet import CloneFlag as F

from ..constants import repeated
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
        status = child.wait()
        assert status.signal == number, status
    assert ramet.clone(lambda: [1, 2], flags=F.VM).result() == [1, 2]
    assert ramet.clone(lambda: [3], flags=0).result() == [3]
    ran: list[int] = []
    thread = threading.Thread(target=ran.append, args=(1,))
    thread.start()
    thread.join(30)
    assert ran == [1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
@pytest.mark.parametrize("activity", ["sleep", "spin", "allocate", "call"])
def test_the_caller_kills(in_new_python: Start, activity: str, number: int) -> None:
    """A child in shared memory can be killed in the midst of anything, and the caller goes on."""
    in_new_python(killed_by_the_caller, activity, int(number), VM, repeated(30)).finish()


@pytest.mark.parametrize("flags", [VM | SIGHAND, VM | FILES], ids=["sighand", "files"])
def test_the_caller_kills_who_shares_more(in_new_python: Start, flags: int) -> None:
    """Nor does it matter what else is shared."""
    in_new_python(
        killed_by_the_caller, "allocate", int(signal.SIGKILL), flags, repeated(30)
    ).finish()


def killed_while_they_wait_for_a_lock(count: int) -> None:
    import faulthandler
    import os
    import threading

    import ramet
    from ramet import CloneFlag as F
    from tests.constants import SLOWER
    from tests.looking import state_of

    def victim(begun: list[int]) -> None:
        lock = threading.Lock()
        lock.acquire()
        begun.append(1)
        lock.acquire()

    for turn in range(count):
        if turn % 100 == 0:
            faulthandler.dump_traceback_later(15 * SLOWER, exit=True)
        begun: list[int] = []
        child = ramet.clone(victim, begun, flags=F.VM)
        while not begun or state_of(child.pid) != "S":
            os.sched_yield()
        child.kill()
        assert child.wait().signal == 9
        # Its locks are lost, and nobody else's are.
        thread = threading.Thread(target=threading.Lock().acquire)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()


def test_waiting_for_a_lock_is_a_good_moment_to_be_killed(in_new_python: Start) -> None:
    """2,000 children killed while they wait for a lock of their own leave all other locks going.

    Since 3.13 such a child stands in a table of the interpreter's, by an entry on its stack.
    """
    in_new_python(killed_while_they_wait_for_a_lock, repeated(2000)).finish()


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
        assert ramet.clone(die, flags=flags).wait().returncode == expected, (turn, flags)
    before = len(counted)
    while len(counted) == before:
        os.sched_yield()
    going_on = False
    thread.join()


@pytest.mark.parametrize("way", ["kill", "read", "read without the GIL", "abort", "exit", "exec"])
def test_a_child_dies_by_its_own_hand(in_new_python: Start, way: str) -> None:
    """Whether it held the GIL or not, the end of a child leaves the caller and its threads going."""
    in_new_python(dead_by_their_own_hand, way, repeated(60)).finish()


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
            status = child.wait()
            assert status.signal == 9, (turn, status)
            assert sum(bytearray(100)) == 0
    assert ramet.clone(lambda: [1], flags=F.VM).result() == [1]


def test_others_kill_who_holds_the_gil(in_new_python: Start, seed: int) -> None:
    """200 children that hold the GIL, killed by another process, leave the caller alive."""
    in_new_python(killed_by_others, seed, repeated(200)).finish()


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
        assert child.wait().signal == signal.SIGKILL, turn
    going_on = False
    for thread in threads:
        thread.join()
    assert ramet.clone(lambda: [1], flags=F.VM).result() == [1]


def test_the_caller_kills_at_random_moments(in_new_python: Start, seed: int) -> None:
    """200 children killed at random moments of allocating, beside busy threads, hurt nobody."""
    in_new_python(killed_at_random_moments, seed, repeated(200)).finish()


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
        inner.wait()
        end_all()

    child = ramet.clone(end_outer if depth else end_all, flags=flags)
    end = child.wait()
    assert (end.code, end.signal) == {
        "exit": (3, None),
        "kill": (None, signal.SIGKILL),
        "exec": (0, None),
    }[way]
    assert threading.enumerate() == [threading.main_thread()]
    assert ramet.clone(os.getpid, flags=F.VM).result() != os.getpid()


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("flags", [F.VM.value, (F.VM | F.VFORK).value], ids=["VM", "vfork"])
@pytest.mark.parametrize("way", ["exit", "kill", "exec"])
def test_a_thread_of_the_child_can_end_it(
    in_new_python: Start, way: str, flags: int, depth: int
) -> None:
    """The interpreter lock is free again, which that thread has had as it ended the process."""
    in_new_python(end_by_a_thread, way, flags, depth).finish()
