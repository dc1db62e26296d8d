"""Functions in shared memory where /proc is that of a pid namespace above, and has other numbers."""

import os
import signal
import time
from typing import Any

import ramet
from ramet import CloneFlag as F

from ...activities import spin
from ...constants import PATIENT_SECONDS as SECONDS

# Where each kill waited for its victim to come to a rest, and looked at strangers, it took more than 5.
_QUICK_SECONDS = 3.0


def kills_in_shared_memory() -> list[Any]:
    """For each way to die: how long it took, how it ended, and the locks that stay locked."""
    never, kept = os.pipe()
    told = []
    for timeout, fn, args in (
        (None, os.read, (never, 1)),
        (0.1, os.read, (never, 1)),
        (0.1, spin, ()),
    ):
        begun = time.monotonic()
        child = ramet.clone(fn, *args, flags=F.VM, timeout=timeout)
        if timeout is None:
            child.kill()
        end = child.wait(SECONDS)
        locks = () if child.losses is None else child.losses.locks
        told.append((time.monotonic() - begun < _QUICK_SECONDS, int(end.signal or 0), locks))
    os.close(never)
    os.close(kept)
    return [ramet.recovery_status(), *told]


def expect(told: list[Any]) -> None:
    """What kills_in_shared_memory() tells is as it is here, where /proc has the pids."""
    status, *deaths = told
    assert deaths == [(True, signal.SIGKILL, ())] * 3
    here = ramet.clone(kills_in_shared_memory).result(SECONDS)  # in a new process, too
    assert status == here[0]


def test_in_a_new_pid_namespace(nothing_left: object) -> None:
    """In a clone with a pid namespace of its own they are killed as quickly, and hold no lock."""
    flags = F.NEWUSER | F.NEWPID
    expect(ramet.clone(kills_in_shared_memory, flags=flags).result(SECONDS))


def test_in_a_call(nothing_left: object) -> None:
    """So they are in an executor's call, which has such a namespace where its caller may make one."""
    with ramet.Executor(1) as executor:
        told = executor.submit(kills_in_shared_memory).result(SECONDS)
    expect(told)


def test_with_threads_of_their_own(nothing_left: object) -> None:
    """One that dies there with a thread of its own leaves nobody who waits for that thread."""

    def scenario() -> list[Any]:
        import threading

        started, writing = os.pipe()
        never, kept = os.pipe()

        def fn() -> None:
            threading.Thread(target=os.read, args=(never, 1)).start()
            os.write(writing, b"x")
            os.read(never, 1)

        begun = time.monotonic()
        child = ramet.clone(fn, flags=F.VM)
        os.read(started, 1)
        child.kill()
        end = child.wait(SECONDS)
        left = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
        losses = child.losses
        assert losses is not None
        for descriptor in (started, writing, never, kept):
            os.close(descriptor)
        return [int(end.signal or 0), left, losses.locks, time.monotonic() - begun < _QUICK_SECONDS]

    told = ramet.clone(scenario, flags=F.NEWUSER | F.NEWPID).result(SECONDS)
    assert told == [signal.SIGKILL, [], (), True]
