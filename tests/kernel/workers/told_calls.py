"""What calls of the tests of what a template is told call: a module that imports next to nothing."""

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ramet._workers.in_call import kept_functions

STREAMS = ("stdin", "stdout", "stderr")
NAME = "RAMET_OF_A_FOLLOWED_CALLER"


def state() -> tuple[str | None, str, list[str], list[str]]:
    """The caller's, as a call finds it."""
    return os.environ.get(NAME), os.getcwd(), sys.argv, sys.path


def names() -> list[str]:
    """Of the variables."""
    return list(os.environ)


def write(word: str) -> None:
    """To standard output."""
    os.write(1, word.encode())


def kept() -> list[str]:
    """Which functions a clone has."""
    return [name for name in vars(kept_functions) if name.startswith("function_")]


def adding(number: int) -> Callable[[int], int]:
    """A function that has no name."""
    return lambda value: value + number


def setup() -> dict[str, Any]:
    """What options of a call change, as the call finds it."""
    umask = os.umask(0)
    status = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "directory": os.getcwd(),
        "umask": umask,
        "nice": os.nice(0),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "processors": sorted(os.sched_getaffinity(0)),
        "scheduler": os.sched_getscheduler(0),
        "oom_score_adj": Path("/proc/self/oom_score_adj").read_text().strip(),
        "timer_slack": Path("/proc/self/timerslack_ns").read_text().strip(),
        "no_new_privs": status["NoNewPrivs"],
        "ignored": bool(int(status["SigIgn"], 16) >> (signal.SIGUSR1 - 1) & 1),
        "blocked": signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "leads_session": os.getsid(0) == os.getpid(),
        "name": status["Name"],
    }


def make(path: str) -> None:
    """A file."""
    Path(path).touch()


def streams() -> dict[str, str]:
    """The files that its standard input, output and error are."""
    return {name: os.readlink(f"/proc/self/fd/{number}") for number, name in enumerate(STREAMS)}


def print_and_raise() -> None:
    """The first into a buffer."""
    print("before")
    raise ValueError


def fork_and_raise() -> None:
    """In both, with the pid."""
    if pid := os.fork():
        os.waitpid(pid, 0)
    raise ValueError(os.getpid())


def groups_and_name() -> tuple[int, int, str]:
    """How many groups the process has, their sum, and its name."""
    groups = os.getgroups()
    return len(groups), sum(groups), Path("/proc/self/comm").read_text().strip()
