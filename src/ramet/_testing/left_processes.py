"""The processes that a test has started and not ended."""

import gc
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from .._kernel import procfs
from .._kernel.pidfd import wait_any
from .._kernel.timeouts import deadline_after, seconds_until
from .._process.tree.walk import Walk

# For a process that was told to end, and not waited for.
_GRACE_SECONDS = 0.5
_KILL_SECONDS = 10.0
# They end by themselves with the process they serve, and then remove what it and its workers have left.
_TRACKER = "ramet-layers"
_TRACKERS = (
    "multiprocessing.resource_tracker import",
    "loky.backend.resource_tracker import",
)
_SERVERS = (*_TRACKERS, "multiprocessing.forkserver import")
# joblib keeps them for the next call, and ends them at the exit of Python, which a clone does not come to.
_WORKERS = ("loky.backend.popen_loky_posix",)
_MOST_BYTES = 200  # of a command line
# Watchdogs, and those that remove layers: they end with who made them. So do templates with their calls,
# and the inits of their namespaces, but not what a call has forked, which has its name.
_HELPERS = ("ramet-watchdog", _TRACKER)
_TEMPLATE = re.compile(r"ramet:[0-9a-f]{8}(i?)")
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


class _Found(NamedTuple):
    process: Process
    is_server: bool
    has_ended: bool


def descendants(pid: int) -> list[Process]:
    """All that a process has started, directly or not, and that still run; without known servers.

    One that ends while it is looked at hands what it has started to a process that was looked at before:
    where one had ended, and nothing else is found, a second look finds that.
    """
    left = []
    for _ in range(2):
        below = [*_all_below(pid)]
        left = [one.process for one in below if not (one.is_server or one.has_ended)]
        if left or not any(one.has_ended for one in below):
            break
    return left


def end_left_processes() -> list[Process]:
    """Kill the descendants of this process, which is a subreaper, and return them.

    One that ends within half a second by itself is none. Nor are workers that a library keeps, and
    templates with their calls, which are killed, too.
    """
    left = _left_after(_GRACE_SECONDS)
    if left:
        _end(lambda process: not _ends_in_order(process))
    else:
        _end(lambda process: _is_kept(process) and not _ends_in_order(process))
    return left


def _left_after(seconds: float) -> list[Process]:
    """Those that have not ended by then, nor what they have started before their end."""
    if descendants(os.getpid()):
        _collect_garbage()
    deadline = deadline_after(seconds)
    while left := descendants(os.getpid()):
        if not _end_within(left, seconds_until(deadline) or 0.0):
            return descendants(os.getpid())
    return []


def _collect_garbage() -> None:
    """Have objects end their processes that do so at their end, and of which only a cycle holds the rest.

    Without this it would depend on what a test allocates whether the collector has come to them. What holds
    the frames of a test that failed is let go of first.
    """
    for name in ("last_exc", "last_value", "last_traceback", "last_type"):
        vars(sys).pop(name, None)
    gc.collect()


def _end(is_meant: Callable[[Process], bool]) -> None:
    """Kill those of this process's children, with their descendants."""

    def meant() -> list[int]:
        return [pid for pid in procfs.children(os.getpid()) if is_meant(shown(pid))]

    if meant():
        Walk(meant).end(deadline_after(_KILL_SECONDS))


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


def _all_below(pid: int, server: Process | None = None) -> Iterator[_Found]:
    """All, in the order of the tree; one that a server has forked looks like it, and is none.

    server: what is above them, where that is one.
    """
    for child in procfs.children(pid):
        process = shown(child)
        may_be_server = server is None or _is_init(server)
        is_server = may_be_server and _looks_like_server(process)
        yield _Found(process, is_server, procfs.state(child) in _ENDED)
        yield from _all_below(child, process if is_server else None)


def shown(pid: int) -> Process:
    """What /proc tells of a process."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(_MOST_BYTES).replace(b"\0", b" ").decode("utf-8", "replace")
        return Process(pid, procfs.status(pid)["Name"], " ".join(words.split()))
    except OSError:  # it has ended meanwhile
        return Process(pid, "", "")


def _looks_like_server(process: Process) -> bool:
    is_own = process.name in _HELPERS or _is_template(process)
    return is_own or _is_one_of((*_SERVERS, *_WORKERS), process)


def _is_kept(process: Process) -> bool:
    return _is_template(process) or _is_one_of(_WORKERS, process)


def _ends_in_order(process: Process) -> bool:
    """Whether it must end after others, or by itself.

    The init of a pid namespace ends when all in it are reaped, who may be children of this process.
    """
    is_tracker = process.name == _TRACKER or _is_one_of(_TRACKERS, process)
    return is_tracker or (_is_template(process) and _is_in_namespace(process.pid))


def _is_in_namespace(pid: int) -> bool:
    """Whether its pid namespace is one below that of this process."""
    try:
        return len(procfs.status(pid)["NSpid"].split()) > len(
            procfs.status("self")["NSpid"].split()
        )
    except OSError:  # it has ended meanwhile
        return True


def _is_template(process: Process) -> bool:
    return _TEMPLATE.fullmatch(process.name) is not None


def _is_init(process: Process) -> bool:
    """Whether it is the init of a template's namespace."""
    found = _TEMPLATE.fullmatch(process.name)
    return found is not None and bool(found[1])


def _is_one_of(parts: tuple[str, ...], process: Process) -> bool:
    return any(part in process.command for part in parts)
