"""The processes that a test has started and not ended."""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from .._kernel import procfs
from .._kernel.pidfd import wait_any
from .._kernel.timeouts import deadline_after, seconds_until
from .._process.tree.walk import Walk

# For a process that was told to end, and not waited for.
_GRACE_SECONDS = 0.5
_KILL_SECONDS = 10.0
# Servers of multiprocessing and joblib, and ramet's: they end by themselves with the process they serve.
_SERVERS = (
    "multiprocessing.resource_tracker import",
    "multiprocessing.forkserver import",
    "loky.backend.resource_tracker import",
)
_MOST_BYTES = 200  # of a command line
_OWN = "ramet-watchdog"
_ENDED = ("Z", "X", "")


class Process(NamedTuple):
    """A process, as /proc shows it."""

    pid: int
    name: str
    command: str

    def __str__(self) -> str:
        return f"{self.pid} {self.name}" + (f" ({self.command})" if self.command else "")


def named(how: str, processes: list[Process]) -> str:
    """Words for them; none for none."""
    return f"{how} {', '.join(map(str, processes))}" if processes else ""


def descendants(pid: int) -> list[Process]:
    """All that a process has started, directly or not, and that still run; without known servers."""
    return [process for process, is_server in _all_below(pid) if not is_server]


def end_left_processes() -> list[Process]:
    """Kill the descendants of this process, which is a subreaper, and return them.

    One that ends within half a second by itself is none.
    """
    left = descendants(os.getpid())
    if left and not _end_within(left, _GRACE_SECONDS):
        left = descendants(os.getpid())
        Walk(lambda: procfs.children(os.getpid())).end(deadline_after(_KILL_SECONDS))
        return left
    return []


def _end_within(processes: list[Process], seconds: float) -> bool:
    deadline = deadline_after(seconds)
    pidfds = []
    try:
        for process in processes:
            with suppress(ProcessLookupError):
                pidfds.append(os.pidfd_open(process.pid))
        running = set(pidfds)
        while running and seconds_until(deadline):
            running.difference_update(wait_any(running, seconds_until(deadline)))
        return not running
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


def _all_below(pid: int, *, of_server: bool = False) -> Iterator[tuple[Process, bool]]:
    """Those that run, each with whether it is a server; one that a server has forked looks like it."""
    for child in procfs.children(pid):
        process = shown(child)
        is_server = not of_server and _looks_like_server(process)
        if procfs.state(child) not in _ENDED:
            yield process, is_server
        yield from _all_below(child, of_server=is_server)


def shown(pid: int) -> Process:
    """What /proc tells of a process."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(_MOST_BYTES).replace(b"\0", b" ").decode("utf-8", "replace")
        return Process(pid, procfs.status(pid)["Name"], " ".join(words.split()))
    except OSError:  # it has ended meanwhile
        return Process(pid, "", "")


def _looks_like_server(process: Process) -> bool:
    return process.name == _OWN or any(server in process.command for server in _SERVERS)
