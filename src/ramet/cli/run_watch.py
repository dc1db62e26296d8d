"""Between a program and its caller until it ends: signals, stops, and the time it is given."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from .._kernel.timeouts import LONGEST_WAIT_SECONDS
from .._process.child import Child
from ..exit_status import ExitStatus

if TYPE_CHECKING:
    from .._process.tree.end import End

# What a fault of our own raises is not to be kept.
_OF_FAULTS = {
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGSEGV,
    signal.SIGSYS,
}
AWAITED = signal.valid_signals() - _OF_FAULTS
OF_TERMINALS = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
_SI_KERNEL = 0x80  # include/uapi/asm-generic/siginfo.h


@contextmanager
def signals_kept() -> Iterator[set[Any]]:
    """Keep all signals for a Watch, from before the child is there; gives the mask that was."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    try:
        yield set(before)
    finally:
        while signal.sigtimedwait(AWAITED, 0):  # they came too late for the program
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def is_by_terminal(told: signal.struct_siginfo) -> bool:
    """Whether the kernel has sent the signal, as it does for a key of the terminal."""
    return told.si_code == _SI_KERNEL


class Terminal:
    """The terminal that both have: lent to the program's process group, and taken back."""

    def __init__(self) -> None:
        self.descriptor = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)

    def move(self, giver: int, taker: int) -> None:
        """From one process group to another, unless a third has it, as after a shell's `bg`.

        SIGTTOU, which a group in the background gets for it, is blocked by signals_kept.
        """
        with suppress(OSError):
            if os.tcgetpgrp(self.descriptor) == giver:
                os.tcsetpgrp(self.descriptor, taker)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)


class Watch:
    """Follows a child until it ends.

    Signals go to the program, save those that the terminal has sent it as well. One that kill(2)
    sends to our whole process group comes to the program twice, as nothing tells it from one for us
    alone. When it is stopped
    by the terminal so are we, for the shell to see. `timeout` and `kill_after`, in seconds, are
    timeout(1)'s: SIGTERM after the one, SIGKILL after the other, for all that the program has
    started, whatever its group; None or 0 is never.
    """

    def __init__(
        self,
        child: Child[None],
        timeout: float | None = None,
        kill_after: float | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        self.child = child
        self._deadline = time.monotonic() + timeout if timeout else None
        self._kill_after = kill_after
        self._terminal = terminal
        self._tree: End | None = None
        self.timed_out = False

    def status(self) -> ExitStatus:
        """How it ended, when it has."""
        try:
            status = self._status()
            self._end_the_others()
            return status
        finally:
            if self._tree is not None:
                self._tree.close()
            if self._terminal is not None:
                self._terminal.move(self.child.pid, os.getpgrp())

    def _status(self) -> ExitStatus:
        while (status := self.child.poll()) is None:
            told = self._next_signal()
            if told is None:
                if self._deadline is None or time.monotonic() >= self._deadline:
                    self._time_is_up()
            elif told.si_signo == signal.SIGCHLD:
                self._stop_with_child()
            else:
                self.pass_on(told)
        return status

    def _next_signal(self) -> signal.struct_siginfo | None:
        if self._deadline is None:
            return signal.sigwaitinfo(AWAITED)
        left = max(0.0, self._deadline - time.monotonic())
        return signal.sigtimedwait(AWAITED, min(left, LONGEST_WAIT_SECONDS))

    def _time_is_up(self) -> None:
        self._deadline = None
        if self.timed_out:
            self._kill_tree()
            if self._leads_group():
                with suppress(ProcessLookupError):
                    os.killpg(self.child.pid, signal.SIGKILL)
            return
        self.timed_out = True
        if self._kill_after:
            self._deadline = time.monotonic() + self._kill_after
        self._tree = self.child._end_of_tree()
        self._tree.ask(self.child.pid if self._leads_group() else None)

    def _end_the_others(self) -> None:
        """When its time was up, the rest of its tree has as long to end as it has itself."""
        if self._tree is not None and self._kill_after:
            self._tree.wait(self._deadline)
            self._kill_tree()

    def _kill_tree(self) -> None:
        if self._tree is not None:
            with suppress(PermissionError, RuntimeError):  # who can be killed is
                self._tree.kill(time.monotonic())

    def _leads_group(self) -> bool:
        return self._group() == self.child.pid

    def _group(self) -> int | None:
        try:
            return os.getpgid(self.child.pid)
        except ProcessLookupError:
            return None

    def pass_on(self, told: signal.struct_siginfo) -> None:
        """Send it a signal that has come."""
        if told.si_signo == signal.SIGCONT and self._terminal is not None:
            self._terminal.move(os.getpgrp(), self.child.pid)
        if not (is_by_terminal(told) and self._group() == os.getpgrp()):
            self.child.send_signal(told.si_signo)

    def _stop_with_child(self) -> None:
        """Where no shell is there to continue us, our group is orphaned, and this has no effect.

        The child continues with the SIGCONT that we get, as any signal is passed on.
        """
        try:
            told = os.waitid(os.P_PID, self.child.pid, os.WSTOPPED | os.WNOHANG)
        except ChildProcessError:
            return
        if told is None or told.si_status not in OF_TERMINALS:
            return
        # Sent while it is blocked, it is one with the terminal's own that may be waiting: two would
        # stop us twice.
        os.kill(os.getpid(), told.si_status)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {told.si_status})
        signal.pthread_sigmask(signal.SIG_BLOCK, {told.si_status})
