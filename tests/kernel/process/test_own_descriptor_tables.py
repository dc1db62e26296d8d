"""What ramet does in one thread takes no effect on the descriptors of another that has its own."""

import ctypes
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

import ramet

from ...constants import PATIENT_SECONDS as SECONDS
from ...flag_values import FILES, VM


def unshare_files() -> None:
    assert ctypes.CDLL(None).unshare(FILES) == 0


def in_own_table(fn: Callable[..., Any], *args: Any) -> Any:
    """Run it in a thread whose table is its own."""
    with ThreadPoolExecutor(1, initializer=unshare_files) as pool:
        return pool.submit(fn, *args).result(SECONDS)


@pytest.mark.filterwarnings("ignore:child .* was never waited for:ResourceWarning")
@pytest.mark.parametrize("other", ["a file", "a pidfd"])
def test_a_forgotten_child_is_reaped_without_its_table(other: str, nothing_left: object) -> None:
    """The thread that collects the handle has something else under the pidfd's number, and keeps it."""
    forgotten: list[Any] = []

    def forget() -> tuple[int, int]:
        child = ramet.Command(["true"]).spawn()
        forgotten.append(child)
        assert child.pidfd is not None
        return child.pid, child.pidfd

    pid, number = in_own_table(forget)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    running = ramet.Command(["sleep", "1000"]).spawn()
    opened = os.pidfd_open(running.pid) if other == "a pidfd" else os.open("/dev/null", os.O_RDONLY)
    if number not in {running.pidfd, opened}:
        os.dup2(opened, number)
    forgotten.clear()
    gc.collect()
    assert ramet.Command(["true"]).spawn().wait(SECONDS).success
    os.fstat(number)
    os.fstat(opened)
    with running:
        assert running.poll() is None
    for descriptor in {opened, number} - {running.pidfd}:
        with suppress(OSError):
            os.close(descriptor)
    with pytest.raises(ChildProcessError):  # it is reaped
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


class Decoys:
    """Other children, whose pidfds have the numbers that are free in this thread's table."""

    def __init__(self, up_to: int) -> None:
        self.child = ramet.Command(["sleep", "1000"]).spawn()
        assert self.child.pidfd is not None
        self._numbers = []
        for number in range(3, up_to + 1):
            try:
                os.fstat(number)
            except OSError:
                self._numbers.append(os.dup2(self.child.pidfd, number))

    def verify(self) -> None:
        """Nobody has touched them."""
        for number in self._numbers:
            os.fstat(number)
            os.close(number)
        assert self.child.poll() is None
        self.child.kill()
        assert self.child.wait(SECONDS).signal is not None


@pytest.mark.parametrize("ended", [False, True], ids=["maker lives", "maker has ended"])
def test_another_threads_child_is_signalled_and_waited_for(
    ended: bool, nothing_left: object
) -> None:
    """A thread with another table hits the child itself, and none whose pidfd has that number here."""
    with ThreadPoolExecutor(1, initializer=unshare_files) as pool:
        children = [
            pool.submit(ramet.Command(argv).spawn).result(SECONDS)
            for argv in (["sleep", "1000"], ["sleep", "1000"], ["true"])
        ]
        number = max(child.pidfd or 0 for child in children)
        if ended:
            pool.shutdown()
        decoys = Decoys(number)
        children[0].kill()
        assert children[0].wait(SECONDS).signal is not None
        assert children[1].poll() is None
        with pytest.raises(ramet.TimeoutExpired):
            children[1].wait(0.01)
        children[1].kill_tree(SECONDS)
        assert children[1].wait(SECONDS).signal is not None
        assert children[2].wait(SECONDS).success
        decoys.verify()


def test_a_child_of_the_process_is_waited_for_in_a_table_of_ones_own(nothing_left: object) -> None:
    """The other way round, too: the thread with its own table has a child of the main thread's."""

    def use(child: "ramet.Child[None]", number: int) -> None:
        decoys = Decoys(number)
        child.kill()
        assert child.wait(SECONDS).signal is not None
        decoys.verify()

    with ThreadPoolExecutor(1, initializer=unshare_files) as pool:
        pool.submit(int).result()
        child = ramet.Command(["sleep", "1000"]).spawn()
        number = child.pidfd
        assert number is not None
        pool.submit(use, child, number).result(SECONDS)
    os.close(number)  # what is in our table nobody else could close


SIGNAL_IT_WHERE = "signal it where it was made, or make this process with FILES"


def test_a_function_hits_no_child_of_its_own_by_its_callers_handle(nothing_left: object) -> None:
    """Without FILES the number is another child's pidfd there, which is neither killed nor waited for."""
    begin = threading.Event()
    given: list[Any] = []

    def use() -> tuple[object, object]:
        assert begin.wait(SECONDS)
        child, number = given
        with ramet.Command(["sleep", "1000"]).spawn() as own:
            os.dup2(own.pidfd or 0, number)
            with pytest.raises(OSError, match=SIGNAL_IT_WHERE):
                child.kill()
            assert own.poll() is None
            own.kill()
            own.wait(SECONDS)
            return child.pidfd, child.poll()

    function = ramet.clone(use, flags=VM)
    with ramet.Command(["sleep", "1000"]).spawn() as child:
        given[:] = child, child.pidfd
        begin.set()
        assert function.result(SECONDS) == (None, None)
        assert child.poll() is None


def test_a_function_with_its_callers_table_signals_its_callers_child(nothing_left: object) -> None:
    """With FILES the number is that child's pidfd there, too."""
    begin = threading.Event()
    given: list[Any] = []

    def use() -> object:
        assert begin.wait(SECONDS)
        given[0].kill()
        return given[0].pidfd

    function = ramet.clone(use, flags=VM | FILES)
    with ramet.Command(["sleep", "1000"]).spawn() as child:
        given[:] = [child]
        number = child.pidfd
        begin.set()
        assert function.result(SECONDS) == number
        assert child.wait(SECONDS).signal is not None


@pytest.mark.filterwarnings("ignore:child .* was never waited for:ResourceWarning")
def test_a_handle_that_a_function_returns_hits_no_child_of_the_callers(
    nothing_left: object,
) -> None:
    """It is of a process that has ended, and its number is another child's pidfd here."""
    decoy = ramet.Command(["sleep", "1000"]).spawn()

    def make() -> tuple[Any, int]:
        made = ramet.clone(time.sleep, 1000, flags=VM)
        return made, made.pidfd or 0

    made, number = ramet.clone(make, flags=VM).result(SECONDS)
    if number != decoy.pidfd:
        os.dup2(decoy.pidfd or 0, number)
    with suppress(OSError):  # where it has not ended yet
        made.kill()
    assert made.pidfd is None
    assert made.wait(SECONDS).reason == "unknown"
    assert decoy.poll() is None
    if number != decoy.pidfd:
        os.close(number)
    decoy.kill()
    decoy.wait(SECONDS)


KILLS_A_TREE = f"""
import ctypes, os, sys, threading, anyio, anyio.to_thread, ramet.aio
go, ready = threading.Event(), threading.Event()

async def main():
    await anyio.to_thread.run_sync(int)  # a worker that anyio keeps, with the table of the process
    victim = ramet.Command(["sleep", "1000"]).spawn()
    assert ctypes.CDLL(None).unshare({FILES}) == 0
    process = await ramet.aio.open_process(["sh", "-c", "sleep 1000 & wait"])
    number = process.pidfd

    def confuse():  # in the other table the number is another child's
        for taken in range(3, number + 20):
            try:
                os.fstat(taken)
            except OSError:
                os.dup2(victim.pidfd, taken)

    await anyio.to_thread.run_sync(confuse)
    await process.kill_tree(20)
    assert await process.wait() == -9
    assert victim.poll() is None, victim
    victim.kill()
    victim.wait()

anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_tree_is_killed_by_the_loops_own_table(backend: str) -> None:
    """kill_tree() under a loop acts with what the loop's thread has, and hits nobody else."""
    argv = [sys.executable, "-c", KILLS_A_TREE, backend]
    subprocess.run(argv, check=True, timeout=SECONDS)
