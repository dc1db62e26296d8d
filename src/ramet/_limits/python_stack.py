"""The Python stack of another process, which writes it itself when a signal asks for it."""

import faulthandler
import os
import re
import signal
from collections.abc import Sequence
from typing import Self

from .._kernel import procfs
from .._kernel.memory_file import memory_file
from .._kernel.pidfd import send, wait_readable
from .._kernel.timeouts import deadline_after, pauses, seconds_until

# Real-time signals, since no other is free. Programs take them from the low end, some take the last one.
STACK_SIGNAL = signal.SIGRTMAX - 1
_BIT = 1 << (STACK_SIGNAL - 1)  # in the masks of /proc/PID/status
_MOST_BYTES, _MOST_THREADS = 1 << 20, 256  # of a process that may want to keep us busy
_FILE = re.compile(r'  File "([^"]*)"')
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.0002, 0.01


def stack_file() -> int:
    """A file for stacks, which the asking and the asked process both have; the caller closes it.

    It is memory and no pipe: a stack of any length blocks nobody, and what a process wrote before its
    death can be read after it.
    Source: memfd_create(2).
    """
    return memory_file("ramet-stack")


def answer_stack_requests(descriptor: int) -> None:
    """In the process that is to be asked: when the signal comes, write the stacks of all threads.

    descriptor: a stack_file(). The handler is faulthandler's, in C: it answers whether the main thread
    runs Python, waits in a system call, or computes in native code with the interpreter lock held. There
    is no answer where all threads block the signal, or where the program has set another handler.
    Source: faulthandler.register(), signal(7).
    """
    faulthandler.register(STACK_SIGNAL, file=descriptor, all_threads=True, chain=False)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [STACK_SIGNAL])


def asked_stack(pidfd: int, descriptor: int, patience_seconds: float) -> str:
    """Ask the process of a pidfd for its stacks, and return them: all threads, innermost call first.

    descriptor: the stack_file() that it was given; what was written there before is left out.
    patience_seconds: how long to wait for the end of the answer. Returns what came until then, 1 MiB at
    most, nothing where the process has ended, is stopped, may not be signalled or does not answer, and
    where it has not called answer_stack_requests() yet, or has become another program: the signal would
    end it.

    Needs: a /proc that shows the process, to see where the answer ends; else it is not asked.
    Source: pidfd_send_signal(2), proc_pid_status(5) SigCgt, SigBlk.
    """
    request = StackRequest.begun(pidfd, descriptor)
    if request is None:
        return ""
    await_answers([request], patience_seconds)
    return request.answer()


class StackRequest:
    """One that was sent to a process, as asked_stack() does."""

    def __init__(self, pidfd: int, pid: int, descriptor: int) -> None:
        self._pidfd, self._pid, self._descriptor = pidfd, pid, descriptor
        self._begin = os.fstat(descriptor).st_size
        self._always_blocking = _blocking_threads(pid)

    @classmethod
    def begun(cls, pidfd: int, descriptor: int) -> Self | None:
        """None where the process cannot be asked."""
        try:
            pid = procfs.number_of(pidfd)
            if not int(procfs.status(pid)["SigCgt"], 16) & _BIT:
                return None
            request = cls(pidfd, pid, descriptor)
            send(pidfd, None, STACK_SIGNAL)
        except OSError:
            return None
        return request

    def is_over(self, seconds: float) -> bool:
        """Whether all is written, or the process ends in so many seconds."""
        # A thread blocks the signal while it handles it, and has begun to when the first byte is there.
        has_begun = os.fstat(self._descriptor).st_size > self._begin
        if has_begun and _blocking_threads(self._pid) <= self._always_blocking:
            return True
        return wait_readable(self._pidfd, seconds)

    def answer(self) -> str:
        """What was written until now."""
        size = os.fstat(self._descriptor).st_size - self._begin
        written = os.pread(self._descriptor, min(max(0, size), _MOST_BYTES), self._begin)
        return written.decode("utf-8", "replace")


def await_answers(requests: Sequence[StackRequest], patience_seconds: float) -> None:
    """Until all are over, or the time is up for all of them."""
    deadline = deadline_after(patience_seconds)
    left = list(requests)
    for pause in pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS):
        left = [request for request in left if not request.is_over(0.0)]
        if not left or seconds_until(deadline) == 0:
            break
        left[0].is_over(pause)


def without_callers(stacks: str, callers: str | tuple[str, ...], *between: str) -> str:
    """Each thread's frames that the code in a directory, or one of several, has called.

    stacks: as faulthandler writes them, innermost call first. callers: those directories. between: of what
    their code calls, and what calls the others: left out as well. A thread may have no frames then.
    """
    return "\n\n".join(_above(stack, callers, between) for stack in stacks.strip().split("\n\n"))


def _above(stack: str, callers: str | tuple[str, ...], between: tuple[str, ...]) -> str:
    lines = stack.splitlines()
    files = [found[1] if (found := _FILE.match(line)) else "" for line in lines]
    end = next((at for at, file in enumerate(files) if file.startswith(callers)), len(files))
    while end < len(files) and files[end - 1].startswith(between):
        end -= 1
    return "\n".join(lines[:end])


def _blocking_threads(pid: int) -> set[str]:
    """The tids of its threads that block the signal: of the first, since each costs a file to be read."""
    threads = procfs.threads(pid)[:_MOST_THREADS]
    return {thread for thread in threads if _blocks(f"{pid}/task/{thread}")}


def _blocks(task: str) -> bool:
    try:
        return bool(int(procfs.status(task)["SigBlk"], 16) & _BIT)
    except OSError:  # it has ended meanwhile
        return False
