"""The handle of a child: how to wait for it, signal it, and learn what came of it."""

import errno
import math
import os
import resource
import signal
import time
import warnings
from _thread import RLock
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from . import _core, pidfd
from .birth import Newborn
from .errors import ChildDied, TimeoutExpired
from .exit_status import ExitStatus
from .flags import LAST_SIGNAL, CloneFlag

T_co = TypeVar("T_co", covariant=True)

_THREAD = CloneFlag.THREAD.value
_P_PID, _P_PIDFD = 1, 3
_WNOHANG, _WEXITED, _WNOWAIT, _WALL = 0x1, 0x4, 0x01000000, 0x40000000
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.0005, 0.05


class Outcome(Protocol):
    """Where the outcome of a function is found once its child has ended."""

    def take(self) -> tuple[int, Any]:
        """What it is (see transfer), and the value or the exception."""

    def close(self) -> None:
        """Let go of what it holds."""


class Child(Generic[T_co]):
    """A task that this process made.

    ``pid``; ``pidfd``, open until the child has been waited for, and this object's to close;
    ``flags``, as they were asked for. Signals and waits go through the pidfd, never through a pid
    that may belong to somebody else by now. As a context manager it kills and reaps on leaving what
    still runs; a child that is forgotten warns (ResourceWarning) and is reaped later.

    Source: clone(2), pidfd_open(2), waitid(2).
    """

    def __init__(self, newborn: Newborn, flags: int, what: object, outcome: Outcome | None) -> None:
        self.pid = newborn.pid
        self._flags = flags
        self._is_thread = bool(flags & _THREAD)
        self._pidfd = newborn.pidfd
        self._task = newborn.task
        self._what = what
        self._outcome = outcome
        self._taken: tuple[int, Any] | None = None
        self._status: ExitStatus | None = None
        self._owner = os.getpid()
        # A signal handler may ask for the child in the midst of a wait of its own thread.
        self._lock = RLock()
        self._concluding = False

    @property
    def flags(self) -> CloneFlag:
        """The flags, as they were asked for."""
        return CloneFlag(self._flags)

    @property
    def pidfd(self) -> int | None:
        """The descriptor of the child, None once it has been waited for or where there is none."""
        return self._pidfd

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended, None while it has not been waited for."""
        return self._status

    def fileno(self) -> int:
        """The pidfd, readable when the child has ended: for any selector.

        Raises ValueError once the child has been waited for.
        Needs: Linux 5.3 (a thread: 6.9).
        Source: pidfd_open(2).
        """
        if self._pidfd is None:
            raise ValueError(f"{self!r} has no pidfd open")
        return self._pidfd

    def poll(self) -> ExitStatus | None:
        """How it ended, or None while it runs; never waits.

        Source: waitid(2) WNOHANG.
        """
        if self._status is None and self._has_ended(0.0):
            return self._conclude()
        return self._status

    def wait(self, timeout: float | None = None) -> ExitStatus:
        """Wait until it has ended.

        timeout: in seconds, None for ever. Returns how it ended, with its rusage; the status is
        unknown where the kernel gives none: a thread, a child of another parent that has not been
        reaped, one that somebody else waited for.
        Raises TimeoutExpired (the child runs on) and ValueError for a timeout that is negative or
        not a number.
        Source: poll(2) on a pidfd, waitid(2) with __WALL; the tid word of CHILD_CLEARTID for a
        thread.
        """
        timeout = checked_timeout(timeout)
        if self._status is None:
            if not self._has_ended(timeout):
                raise TimeoutExpired(self._what, cast(float, timeout))
            return self._conclude()
        return self._status

    def result(self, timeout: float | None = None) -> T_co:
        """What the function returned; what it raised is raised here.

        timeout: in seconds, None for ever. From a child with a memory of its own it is a copy, and
        an exception has the child's traceback as its cause; from one that shares the memory it is
        the object itself. Raises ChildDied when the child ended without a result, TimeoutExpired
        when it has not ended in time.
        """
        raised, outcome = self._outcome_within(timeout)
        if raised:
            raise outcome
        return cast(T_co, outcome)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the function raised, or None when it returned; see result().

        Raises ChildDied and TimeoutExpired as result() does.
        """
        raised, outcome = self._outcome_within(timeout)
        return cast(BaseException, outcome) if raised else None

    def send_signal(self, number: int) -> None:
        """Send it a signal; without effect on a child that has ended.

        Raises ValueError for a number that is no signal, and for a thread, whose signals go to the
        whole process.
        Needs: Linux 5.1.
        Source: pidfd_send_signal(2).
        """
        if not 0 <= number <= LAST_SIGNAL:
            raise ValueError(f"{number} is not a signal")
        if self._is_thread:
            raise ValueError(
                "this child is a thread of this process: a signal would go to all of it"
            )
        # Nobody closes the pidfd meanwhile, and so its number cannot come to mean another's.
        with self._lock:
            if self._status is not None:
                return
            try:
                if number == signal.SIGKILL and self._shares_memory():
                    _core.kill_sharer(self.pid, -1 if self._pidfd is None else self._pidfd)
                elif self._pidfd is not None:
                    signal.pidfd_send_signal(self._pidfd, number)
                elif self.poll() is None:
                    os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def terminate(self) -> None:
        """Ask it to end: SIGTERM. Source: pidfd_send_signal(2)."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once: SIGKILL.

        A child that shares the memory is stopped first, and killed where it waits in a system call,
        so that no lock of libc or of the interpreter dies with it; one that computes in native code
        without a pause is killed after some tens of milliseconds wherever it stands.
        Source: pidfd_send_signal(2), proc_pid_syscall(5).
        """
        self.send_signal(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it: SIGSTOP, until resume(). Source: pidfd_send_signal(2)."""
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on: SIGCONT. Source: pidfd_send_signal(2)."""
        self.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._owner != os.getpid():  # a fork made inside the block, which leaves it as well
            return
        if self.poll() is None and not self._is_thread:
            self.kill()
        self.wait()

    def __repr__(self) -> str:
        state = "running" if self._status is None else str(self._status)
        return f"<Child {self.pid} {self.flags}: {state}>"

    def __del__(self) -> None:
        if getattr(self, "_status", self) is not None:  # concluded, or never fully made
            return
        if self._owner == os.getpid():
            warnings.warn(
                f"child {self.pid} was never waited for", ResourceWarning, stacklevel=2, source=self
            )
        _forgotten.append(_Remains(self))

    def _shares_memory(self) -> bool:
        return self._task is not None and not self._task.done and self._owner == os.getpid()

    # How a child of each kind ends.

    def _has_ended(self, timeout: float | None) -> bool:
        if self._task is not None and self._is_thread:
            return self._task.wait(timeout)
        descriptor = self._pidfd
        if self._status is not None:  # another thread was quicker
            return True
        if descriptor is not None:
            return pidfd.wait_readable(descriptor, timeout)
        return self._has_ended_without_pidfd(timeout)

    def _has_ended_without_pidfd(self, timeout: float | None) -> bool:
        """Before 5.3, or when it could not be opened: ask again and again, as there is no event."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                if _core.waitid(_P_PID, self.pid, _WEXITED | _WNOHANG | _WALL | _WNOWAIT):
                    return True
            except ChildProcessError:
                return not _exists(self.pid)
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _conclude(self) -> ExitStatus:
        """It has ended: learn how, once and for all, and close what is open for it."""
        if self._owner != os.getpid():
            # Another process's child, whose handle a child in shared memory holds as well, or a copy
            # has: only its parent can reap it, and its descriptor is not ours to close.
            return pidfd.exit_status(self._pidfd)
        with self._lock:
            # A signal handler may come between, ask for the child as well, and be the one who
            # learns the status; the descriptor stays for the wait that it came into.
            outermost, self._concluding = not self._concluding, True
            try:
                if self._status is None:
                    status = self._reap()
                    if self._task is not None:
                        self._task.wait(None)
                    if self._status is None or status.reason != "unknown":
                        self._status = status
            finally:
                self._concluding = not outermost
            if outermost:
                self._close()
        sweep()
        return self._status

    def _reap(self) -> ExitStatus:
        if self._is_thread:
            return ExitStatus.unknown()
        by_pidfd = self._pidfd is not None
        kind, number = (_P_PIDFD, cast(int, self._pidfd)) if by_pidfd else (_P_PID, self.pid)
        try:
            ended = _core.waitid(kind, number, _WEXITED | _WALL)
        except OSError as error:
            if error.errno == errno.EINVAL and by_pidfd:  # P_PIDFD is younger than pidfds: 5.4
                ended = _core.waitid(_P_PID, self.pid, _WEXITED | _WALL)
            elif error.errno == errno.ECHILD:
                return pidfd.exit_status(self._pidfd)
            else:
                raise
        assert ended is not None
        _, code, status, used = ended
        return ExitStatus.from_waitid(code, status, resource.struct_rusage(used))

    def _outcome_within(self, timeout: float | None) -> tuple[bool, Any]:
        """Whether it was raised, and what was returned or raised."""
        from .transfer import NOTHING, RAISED

        status = self.wait(timeout)
        kind, outcome = self._take()
        if kind == NOTHING:
            raise ChildDied(status, self.pid)
        return kind == RAISED, outcome

    def _take(self) -> tuple[int, Any]:
        with self._lock:
            if self._taken is None:
                self._taken = (0, None) if self._outcome is None else self._outcome.take()
                if self._outcome is not None:
                    self._outcome.close()
            return self._taken

    def _close(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


class _Remains:
    """What is left to do for a child whose handle is gone."""

    def __init__(self, child: Child[Any]) -> None:
        self.owner = child._owner
        self._pid = child.pid
        self._pidfd = child._pidfd
        self._task = child._task if child._is_thread else None

    def settled(self) -> bool:
        """Reap it if it has ended; whether nothing is left to do."""
        if not (self._task.done if self._task is not None else self._reaped()):
            return False
        if self._pidfd is not None:
            os.close(self._pidfd)
        return True

    def _reaped(self) -> bool:
        by_pidfd = self._pidfd is not None
        kind, number = (_P_PIDFD, cast(int, self._pidfd)) if by_pidfd else (_P_PID, self._pid)
        try:
            return _core.waitid(kind, number, _WEXITED | _WNOHANG | _WALL) is not None
        except ChildProcessError:
            return True
        except OSError:
            return False


_forgotten: list[_Remains] = []


def sweep() -> None:
    """Reap the forgotten children that have ended. Source: waitid(2)."""
    if not _forgotten:
        return
    me = os.getpid()
    # One task takes an entry at a time: a child in shared memory sees the same list.
    for _ in range(len(_forgotten)):
        try:
            remains = _forgotten.pop(0)
        except IndexError:
            return
        if remains.owner != me or not remains.settled():
            _forgotten.append(remains)


def checked_timeout(timeout: float | None) -> float | None:
    """The timeout as it is, or ValueError (TypeError) when it is no number of seconds."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout is a number of seconds or None, not {timeout!r}")
    if math.isnan(timeout):
        raise ValueError("timeout is not a number")
    if timeout < 0:
        raise ValueError(f"timeout is negative: {timeout}")
    return timeout


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
