"""A debugger of a few lines: it follows a task, and the children that the kernel attaches to it."""

import enum
import errno
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from ctypes import c_long
from dataclasses import dataclass
from typing import Generic, TypeVar

import ramet

from .memory import stack_pointer
from .probes import LIBC, WALL, checked
from .row import NotPermitted

T = TypeVar("T")

_TRACEME, _CONT, _SETOPTIONS = 0, 7, 0x4200
_EXITKILL = 1 << 20


class Event(enum.IntEnum):
    """The clone calls of which a debugger may ask for events: PTRACE_EVENT_*, ptrace(2)."""

    FORK = 1
    VFORK = 2
    CLONE = 3


@dataclass(frozen=True)
class Stop:
    """One stop of a traced task: at a clone call that it made, or (no event) at a signal."""

    pid: int
    event: Event | None
    stack_pointer: int


@dataclass(frozen=True)
class Trace(Generic[T]):
    """What the debugged function returned, and the stops on the way."""

    result: T
    stops: tuple[Stop, ...]

    @property
    def events(self) -> list[Event]:
        """The clone calls that the kernel reported, in their order."""
        return [stop.event for stop in self.stops if stop.event is not None]


def debug(function: Callable[[], T], events: Iterable[Event] = ()) -> Trace[T]:
    """Run the function in a child that this task traces, with these events.

    The child asks its parent to trace it, which Yama permits.
    Raises NotPermitted where tracing is not permitted, or the child already has another tracer.
    """
    child = ramet.clone(_traced, function, trusted=True)  # its tracer may reap it first
    stops = tuple(_follow(child.pid, events))
    try:
        return Trace(child.result(), stops)
    except PermissionError as error:
        raise NotPermitted(f"needs ptrace: {error.strerror}") from None


def _traced(function: Callable[[], T]) -> T:
    _ptrace(_TRACEME, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    return function()


def _follow(leader: int, events: Iterable[Event]) -> Iterator[Stop]:
    """Let every traced task go on after each stop, until the last is gone."""
    options = _EXITKILL | sum(1 << event for event in events)
    begun = set()
    for pid, status in _changes():
        if not os.WIFSTOPPED(status):
            continue
        event = Event(status >> 16) if status >> 16 else None
        yield Stop(pid, event, stack_pointer(pid))
        if pid == leader and pid not in begun:
            _ptrace(_SETOPTIONS, pid, options)
        # The first stop of each is that of an attached tracer; later ones have a signal to pass on.
        passed_on = os.WSTOPSIG(status) if pid in begun and event is None else 0
        begun.add(pid)
        _ptrace(_CONT, pid, passed_on)


def _changes() -> Iterator[tuple[int, int]]:
    while True:
        try:
            yield os.waitpid(-1, WALL)
        except ChildProcessError:
            return


def _ptrace(request: int, pid: int, data: int) -> None:
    try:
        checked(LIBC.ptrace(c_long(request), c_long(pid), None, c_long(data)))
    except OSError as error:
        # It was killed at that moment: its end is the next event.
        if error.errno != errno.ESRCH:
            raise
