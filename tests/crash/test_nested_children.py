from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]


def lose_the_middle(levels: int, way: str, end: str, turns: int) -> None:  # noqa: C901 - a program of its own
    import os
    import signal
    import threading

    import ramet
    from ramet import CloneFlag as F

    flags = F.VM | (F.SIGHAND if way == "shared handlers" else F(0))
    counting = True
    counted = [0]

    def count() -> None:
        while counting:
            counted[0] += 1

    def busy(begun: list[int]) -> None:
        begun.append(os.getpid())
        while True:
            if way == "pause":
                signal.pause()

    def middle(left: int, begun: list[int], going_on: list[int]) -> None:
        if left == 0:
            busy(begun)
        ramet.clone(middle, left - 1, begun, going_on, flags=flags)
        while not going_on:
            os.sched_yield()

    thread = threading.Thread(target=count)
    thread.start()
    for turn in range(turns):
        begun: list[int] = []
        going_on: list[int] = []
        child = ramet.clone(middle, levels, begun, going_on, flags=F.VM)
        while not begun:
            os.sched_yield()
        if end == "return":
            going_on.append(1)
        elif end == "kill":
            child.kill()
        else:
            os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert ramet.clone(list, [turn], flags=F.VM).result() == [turn]
        before = counted[0]
        while counted[0] == before:
            os.sched_yield()
    counting = False
    thread.join(30)


@pytest.mark.parametrize("end", ["return", "kill", "killed by others"])
@pytest.mark.parametrize("way", ["pause", "busy", "shared handlers"])
def test_a_dead_child_of_a_child_is_recovered_from(
    in_new_python: Start, way: str, end: str
) -> None:
    """A child's own children in shared memory end with it, and the interpreter lock is free after."""
    in_new_python(lose_the_middle, 1, way, end, 5).finish()


def test_a_dead_grandchild_of_a_child_is_recovered_from(in_new_python: Start) -> None:
    """However deep."""
    in_new_python(lose_the_middle, 4, "busy", "kill", 3).finish()


def have_descendants(levels: int) -> None:
    import os
    import signal
    import sys

    import ramet
    from ramet import CloneFlag as F

    def descend(left: int, pids: list[int]) -> None:
        pids.append(os.getpid())
        if left > 0:
            ramet.clone(descend, left - 1, pids, flags=F.VM | F.SIGHAND)
        while True:
            signal.pause()

    pids: list[int] = []
    child = ramet.clone(descend, levels, pids, flags=F.VM)
    while len(pids) <= levels:
        os.sched_yield()
    print(*pids, flush=True)
    sys.stdin.readline()
    assert child.poll() is None


@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("end", ["return", "killed by others"])
def test_children_of_children_end_with_the_interpreter(
    in_new_python: Start, levels: int, end: str
) -> None:
    """No child of a child stays, of those either that share handlers and hear of no end themselves."""
    caller = in_new_python(have_descendants, levels)
    caller.watch()
    assert caller.still_running() == levels + 1
    if end == "return":
        caller.go_on()
        caller.finish()
    else:
        caller.kill()
    assert caller.all_gone()


def leave_them_at_once(others: int, threads: int, turns: int) -> None:
    import signal
    import threading
    import warnings

    import ramet
    from ramet import CloneFlag as F

    warnings.simplefilter("ignore", ResourceWarning)
    done: list[bool] = []
    begun = threading.Event()

    def make(kept: list[ramet.Child[None]]) -> None:
        kept.append(ramet.clone(signal.pause, flags=F.VM))

    def keep_many(kept: list[ramet.Child[None]]) -> None:
        for _ in range(others):
            make(kept)
        begun.set()
        signal.pause()

    def leave() -> None:
        kept: list[ramet.Child[None]] = []
        for _ in range(turns):
            ramet.clone(make, kept, flags=F.VM).wait()
            task = kept.pop()._task
            assert task is not None
            done.append(task.wait(None))

    keeper = ramet.clone(keep_many, [], flags=F.VM)  # others are looked at before one's own
    begun.wait()
    workers = [threading.Thread(target=leave) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    keeper.kill()
    keeper.wait()
    assert done == [True] * threads * turns


def test_many_leave_living_children_at_once(in_new_python: Start) -> None:
    """Each child of a child that has ended is found and recovered from, while others look for their own."""
    in_new_python(leave_them_at_once, 30, 4, 30).finish()


def exec_while_a_child_asks_for_the_gil(count: int) -> None:
    import os
    import time

    import ramet
    from ramet import CloneFlag as F

    def nest() -> None:
        ramet.clone(time.sleep, 1000, flags=F.VM)  # it asks for the GIL, and dies of the exec
        os.execv("/bin/true", ["true"])

    for _ in range(count):
        assert ramet.vfork(nest).wait().success


def test_who_execs_leaves_no_request_for_the_gil(in_new_python: Start) -> None:
    """Who has the GIL and is asked for it waits until another has it: the asker may have died."""
    in_new_python(exec_while_a_child_asks_for_the_gil, 500).finish()


def exec_beside_a_slow_waiter(count: int) -> None:
    import ctypes
    import os
    import signal
    import threading

    import ramet
    from ramet import CloneFlag as F
    from tests.constants import SYSTEM_CALLS

    futex = b"%d" % SYSTEM_CALLS["futex"]
    libc = ctypes.PyDLL(None)  # which keeps the interpreter lock
    text = ctypes.create_string_buffer(200)
    turns, over = [0], [False]

    def take_turns() -> None:
        while not over[0]:
            turns[0] += 1
            os.sched_yield()

    def sleeps_in_futex(pid: int) -> bool:
        descriptor = libc.open(b"/proc/%d/syscall" % pid, os.O_RDONLY)
        libc.read(descriptor, text, 199)
        libc.close(descriptor)
        return text.value.startswith(futex + b" ")

    # Some ten milliseconds of work before that.
    slow = "n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done; kill -CONT {}"

    def let_it_go_on(pid: int) -> None:
        os.execv("/bin/sh", ["sh", "-c", slow.format(pid)])

    threads = [threading.Thread(target=take_turns) for _ in range(3)]
    for thread in threads:
        thread.start()
    child = ramet.clone(take_turns, flags=F.VM)
    for _ in range(count):
        while not sleeps_in_futex(child.pid):
            libc.sched_yield()
        libc.kill(child.pid, signal.SIGSTOP)
        assert ramet.vfork(let_it_go_on, child.pid).wait().success
        enough = turns[0] + 500
        while turns[0] < enough:
            os.sched_yield()
    over[0] = True
    for thread in threads:
        thread.join()
    assert child.wait().success


def test_who_is_slow_to_leave_is_not_taken_for_dead(in_new_python: Start) -> None:
    """One that is woken to take the GIL, and has no processor yet when a child execs, goes on later."""
    in_new_python(exec_beside_a_slow_waiter, 10).finish()


def kill_who_made_many(count: int) -> None:
    import os
    import sys

    import ramet
    from ramet import CloneFlag as F

    end, _ = os.pipe()
    made: list[int] = []

    def make() -> None:
        children = [ramet.clone(os.read, end, 1, flags=F.VM) for _ in range(count)]
        made.append(len(children))
        os.read(end, 1)

    before = len(sys._current_frames())
    for _ in range(2):
        made.clear()
        child = ramet.clone(make, flags=F.VM)
        while not made:
            os.sched_yield()
        child.kill()
        child.wait()
        assert child.losses is not None
        assert not child.losses.locks, child.losses
        assert len(sys._current_frames()) == before  # each of them is recovered
        assert ramet.clone(len, "abc", flags=F.VM).result() == 3


def test_who_made_many_is_killed_as_one_that_made_none(in_new_python: Start) -> None:
    """A hundred functions and their host threads are stopped at safe points, and each is recovered."""
    in_new_python(kill_who_made_many, 100).finish()


def kill_a_suspended_caller(levels: int, end: str) -> None:
    import os
    import signal

    import ramet
    from ramet import CloneFlag as F

    unwritten, _ = os.pipe()
    reached: list[int] = []

    def go_down(left: int) -> None:
        reached.append(os.getpid())
        if left == 0:
            os.read(unwritten, 1)
        ramet.vfork(go_down, left - 1).result()

    def is_over(pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rpartition(") ")[2][0] in "ZX"
        except OSError:
            return True

    for _ in range(2):
        reached.clear()
        child = ramet.clone(
            go_down, levels, flags=F.VM, stack_size=(16 << 20) + levels * (64 << 10)
        )
        while len(reached) <= levels:
            os.sched_yield()
        if end == "kill":
            child.kill()
        else:
            os.kill(child.pid, signal.SIGKILL)
        child.wait()
        while not all(map(is_over, reached)):
            os.sched_yield()
        assert ramet.vfork(len, "abc").result() == 3


@pytest.mark.parametrize("end", ["kill", "another's SIGKILL"])
@pytest.mark.parametrize("levels", [2, 600])
def test_who_is_suspended_ends_with_its_caller(levels: int, end: str, in_new_python: Start) -> None:
    """A child that its own child suspends takes no signal that tells of its caller's end, however deep."""
    in_new_python(kill_a_suspended_caller, levels, end).finish()
