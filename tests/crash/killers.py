"""Kills: by this process, and by others that read pids and choose the moment."""

import ctypes
import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import ramet
from ramet import CloneFlag as F

from ..constants import (
    PR_SET_PTRACER,
    PR_SET_PTRACER_ANY,
    PTRACE_INTERRUPT,
    PTRACE_PEEKDATA,
    PTRACE_SEIZE,
    PTRACE_SINGLESTEP,
    WALL,
)
from ..waiting import a_random_moment

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype, _libc.ptrace.argtypes = ctypes.c_long, (ctypes.c_long,) * 4
TREE = str(Path(__file__).parents[2])


@contextmanager
def killer(way: Callable[..., None], *args: int) -> Iterator[IO[str]]:
    """Another process that runs a function of this file; what it reads is to be written there."""
    call = f"from {__name__} import {way.__name__} as way; way(*{args})"
    argv = [sys.executable, "-c", f"import sys; sys.path.append({TREE!r}); {call}"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        yield process.stdin
    assert process.returncode == 0


def let_anybody_trace() -> None:
    """In who is to be killed by single steps: for where Yama asks for it."""
    anybody = ctypes.c_ulong(PR_SET_PTRACER_ANY)
    _libc.prctl(PR_SET_PTRACER, anybody, 0, 0, 0)


def killed_by(
    how: str, fn: Callable[[list[bool]], None], timeout: float, most_seconds: float
) -> None:
    """Let a function begin, and kill it at a random moment; or have it killed by its timeout."""
    begun: list[bool] = []
    child = ramet.clone(fn, begun, flags=F.VM, timeout=timeout if how == "timeout" else None)
    while not begun and child.poll() is None:  # a timeout may come before it begins
        os.sched_yield()
    if how == "kill":
        a_random_moment(random.Random(), most_seconds)
        child.kill()
    assert child.wait().signal == 9


def processor_time(pid: int) -> float:
    """What a process has used, in seconds: by clock_getcpuclockid(3), which Python has not."""
    whole_process = (
        2  # CPUCLOCK_SCHED without CPUCLOCK_PERTHREAD_MASK: include/linux/posix-timers_types.h
    )
    return time.clock_gettime(~pid << 3 | whole_process)


def warning_at_the_end(child: ramet.Child[object], kill: bool = True) -> str:
    """Kill it, or let it end; what the one warning says that comes of it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if kill:
            child.kill()
        assert (child.wait().signal == 9) is kill
    (warning,) = told
    assert warning.category is RuntimeWarning, warning
    return str(warning.message)


def after_some_work(seed: int) -> None:
    """Kill each when a random amount of work is done."""
    numbers = random.Random(seed)
    for pid in map(int, sys.stdin):
        for _ in range(numbers.randrange(20_000)):
            pass
        os.kill(pid, 9)


def at_a_random_moment(seed: int, most_steps: int) -> None:
    """Kill each at a random moment, some single steps later."""
    numbers = random.Random(seed)
    for pid in map(int, sys.stdin):
        a_random_moment(numbers, 1 / 500)
        if most_steps:
            _stop(pid)
            for _ in range(numbers.randrange(most_steps)):
                _step(pid)
        os.kill(pid, 9)
        if most_steps:
            os.waitpid(pid, WALL)


def with_a_lock() -> None:
    """Read where a lock lies, too, and kill each after so many steps in which it is held."""
    for line in sys.stdin:
        pid, lock, steps = map(int, line.split())
        _stop(pid)
        while steps > 0:
            _step(pid)
            steps -= _ptrace(PTRACE_PEEKDATA, pid, lock) & 0xFFFFFFFF != 0
        os.kill(pid, 9)
        os.waitpid(pid, WALL)


def _stop(pid: int) -> None:
    _ptrace(PTRACE_SEIZE, pid)
    _ptrace(PTRACE_INTERRUPT, pid)
    os.waitpid(pid, WALL)


def _step(pid: int) -> None:
    _ptrace(PTRACE_SINGLESTEP, pid)
    os.waitpid(pid, WALL)


def _ptrace(request: int, pid: int, address: int = 0) -> int:
    ctypes.set_errno(0)
    answer: int = _libc.ptrace(request, pid, address, 0)
    if answer == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), "ptrace", str(request))
    return answer
