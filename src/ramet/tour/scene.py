"""A caller and the child that it is making, both stopped so that a third task can look at them."""

import contextlib
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import ramet

from .probes import PATIENCE_SECONDS, proc_stat

_SILENCE_SECONDS = 0.02
_PROGRAM = "import sys; sys.stdin.read(1)"

Body = Callable[[], object]
MakeChild = Callable[[Body], "ramet.Child[object]"]


@dataclass(frozen=True)
class Scene:
    """The two tasks, while the child waits to go on; a third task looks at them."""

    caller: int
    child: int
    caller_state: str
    caller_goes_on: bool
    _to_caller: socket.socket
    _to_child: socket.socket

    def let_child_go(self) -> bool:
        """Let the child go on to its end or exec. Whether the caller returns from its call."""
        self._to_child.sendall(b"!")
        return self.caller_goes_on or _hears(self._to_caller, PATIENCE_SECONDS)

    def child_runs_program(self) -> bool:
        """Whether the child becomes the program of ``become_program``, and does not end.

        The caller returns when the child leaves the memory, a moment before its exec or end is visible; and
        a caller of vfork() reaps it at once.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while proc_stat(self.child, 3) != "Z" and time.monotonic() < deadline:
                with open(f"/proc/{self.child}/cmdline") as words:
                    if _PROGRAM in words.read():
                        return True
                os.sched_yield()
        return False


@contextmanager
def caller_and_child(make_child: MakeChild, last_act: Body = lambda: None) -> Iterator[Scene]:
    """Have a new task call ``make_child``, and hold the child before its last act."""
    with _line() as (to_caller, of_caller), _line() as (to_child, of_child):

        def body() -> None:
            of_child.sendall(b"%d" % os.getpid())
            if of_child.recv(1):
                os.dup2(of_child.fileno(), 0)
                last_act()

        def caller() -> None:
            # So that both get an end of file when the third task is gone.
            to_caller.close()
            to_child.close()
            with make_child(body), suppress(BrokenPipeError):
                of_caller.sendall(b"!")
                of_caller.recv(1)

        with ramet.clone(caller) as task:
            of_caller.close()
            of_child.close()
            told = to_child.recv(32)
            if not told:  # the clone call failed, and this raises its error
                task.result(PATIENCE_SECONDS)
            child = int(told)
            goes_on, state = _settled(task.pid, to_caller)
            yield Scene(task.pid, child, state, goes_on, to_caller, to_child)
            to_caller.close()
            to_child.close()
            task.result(PATIENCE_SECONDS)


def become_program() -> None:
    """A last act: exec a program that runs until it is killed."""
    os.execv(sys.executable, [sys.executable, "-ISc", _PROGRAM])


def _settled(caller: int, to_caller: socket.socket) -> tuple[bool, str]:
    """Whether the caller's call has returned, and its state: once it has, or is suspended in it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if _hears(to_caller, _SILENCE_SECONDS):
            return True, proc_stat(caller, 3)
        if proc_stat(caller, 3) == "D":
            return False, "D"
    return False, proc_stat(caller, 3)


def _hears(line: socket.socket, seconds: float) -> bool:
    return bool(select.select([line], [], [], seconds)[0]) and bool(line.recv(1))


@contextmanager
def _line() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs
