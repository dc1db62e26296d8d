"""The handle of a child: how to wait for it, signal it, and learn what came of it."""

import builtins
import errno
import functools
import math
import os
import signal
import time
import warnings
from _thread import RLock
from collections.abc import Generator
from contextlib import suppress
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar, cast

from .. import _core
from .._kernel import pidfd
from .._kernel.clone_bits import STOPPED, THREAD, VFORK
from ..errors import Interrupted, TimeoutExpired, died, still_running
from ..exit_status import END, ExitStatus, from_waitid
from ..flags import LAST_SIGNAL, CloneFlag
from ..losses import Losses
from .blocking import BLOCKING, Waits, at_once
from .memory_sharers import forget
from .result_channel import NOTHING, RAISED, ResultChannel
from .tree.end import End, Root
from .tree.subreaper import Subreaper

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .._kernel.descriptors import Descriptors
    from .tree.initial_cgroup import InitialCgroup

T_co = TypeVar("T_co", covariant=True)

_core.know_exit_status(ExitStatus, END)

_P_PID, _P_PIDFD = 1, 3
_WNOHANG, _WEXITED, _WNOWAIT, _WALL = 0x1, 0x4, 0x01000000, 0x40000000
_MADE_AT_RUN_TIME = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.0005, 0.05


class Outcome(Protocol):
    """Where the outcome of a function is found once its child has ended."""

    def take(self) -> tuple[int, Any]:
        """What it is (see transfer), and the value or the exception."""


class Child(_core.Handle, Generic[T_co]):
    """A task that this process made.

    ``pid``; ``pidfd``, open until the child has been waited for, and this object's to close;
    ``flags``, as they were asked for. Signals and waits go through the pidfd, never through a pid
    that may belong to somebody else by now. As a context manager it kills and reaps on leaving what
    still runs; a child that is forgotten warns (ResourceWarning) and is reaped later.

    Source: clone(2), pidfd_open(2), waitid(2).
    """

    # What most programs have nothing of.
    _initial_cgroup: "InitialCgroup | None" = None
    _starter: "Callable[[Child[Any], Waits], Awaitable[object]] | None" = None
    _killed = False
    _resumed = False
    _deadline_thread: _core.DeadlineThread | None = None
    _held: "Descriptors | None" = None

    @property
    def _is_thread(self) -> bool:
        return bool(self._flags & THREAD)

    @property
    def flags(self) -> CloneFlag:
        """The flags, as they were asked for."""
        return CloneFlag(self._flags)

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended, None while it has not been waited for."""
        return self._status

    @property
    def losses(self) -> Losses | None:
        """What was lost with a child in shared memory that died in the midst of its function.

        None for any other, and while it has not been waited for.
        """
        return None if self._status is None or self._task is None else self._task.losses

    def fileno(self) -> int:
        """The pidfd, readable when the child has ended: for any selector.

        Raises ValueError once the child has been waited for.
        Needs: Linux 5.3 (a thread: 6.9).
        Source: pidfd_open(2).
        """
        descriptor = self.pidfd
        if descriptor is None:
            raise ValueError(f"{self!r} has no pidfd open{self._why_no_pidfd()}")
        return descriptor

    def _why_no_pidfd(self) -> str:
        if self._flags & VFORK and self._status is not None:
            return ": vfork() waits for its child, and has reaped one that ends without an exec"
        return ": it has been waited for" if self._status is not None else ""

    def _has_no(self, name: str) -> NoReturn:
        from .._preflight.hints import no_attribute_of_child

        hint = no_attribute_of_child(name)
        raise AttributeError(f"'Child' object has no attribute {name!r}{hint}", name=name, obj=self)

    def poll(self) -> ExitStatus | None:
        """How it ended, or None while it runs; never waits.

        Source: waitid(2) WNOHANG.
        """
        if self._status is None and self._has_ended(0.0):
            return self._conclude()
        return self.exit_status

    def wait(self, timeout: float | None = None) -> ExitStatus:
        """Wait until it has ended.

        timeout: in seconds, None for ever. Returns how it ended, with its rusage; the status is
        unknown where the kernel gives none: a thread, a child of another parent that has not been
        reaped, one that somebody else waited for.
        Raises TimeoutExpired (the child runs on) and ValueError for a timeout that is negative or
        not a number, and for a child that waits for its start() when no timeout is given.
        Source: poll(2) on a pidfd, waitid(2) with __WALL; the tid word of CHILD_CLEARTID for a
        thread.
        """
        if timeout is None:
            if self._starter is not None:
                self.expect_start()
            status = self._exited()
            if status is not None:
                if forgotten:
                    sweep()
                return status
        else:
            checked_timeout(timeout)
        if self._status is None:
            if not self._has_ended(timeout):
                raise still_running(self._what, cast(float, timeout), self.pid)
            return self._conclude()
        return self._status

    def result(self, timeout: float | None = None) -> T_co:
        """What the function returned; what it raised is raised here.

        timeout: in seconds, None for ever. From a child with a memory of its own it is a copy, and
        an exception has the child's traceback as its cause; from one that shares the memory it is
        the object itself. Raises ChildDied when the child ended without a result, of its classes
        DeadlineExceeded (a TimeoutError) when it was killed at its own deadline; ResultError when its
        result cannot be brought over, RemoteError for what a less trusted child raised (see clone());
        TimeoutExpired when it has not ended in this time: it runs on.
        """
        if timeout is None:
            value: T_co = self._delivered()
            if value is not NotImplemented:
                if self._task is not None:
                    forget(self._task)
                self._close_held()
                return value
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

    def __await__(self) -> Generator[Any, Any, T_co]:
        """Its result under asyncio or trio, a program's ExitStatus: result() that blocks no loop.

        A cancellation kills and reaps the child. One in shared memory is interrupted, so that
        nothing of it is lost, and killed when it has not ended after a second; see terminate().
        Raises ValueError for a child that waits for its start().
        Needs: anyio, which the extra ``aio`` brings.
        Source: pidfd_open(2).
        """
        if self._starter is not None:
            self.expect_start(otherwise="")
        awaiting = _awaiting()
        ended = awaiting.conclude(self, awaiting.end if self._task is None else awaiting.interrupt)
        if self._outcome is None and self._taken is None:  # a program's
            return cast("Generator[Any, Any, T_co]", ended.__await__())
        return self._result_after(ended).__await__()

    async def _result_after(self, ended: "Awaitable[object]") -> T_co:
        await ended
        return self.result()

    def send_signal(self, number: int) -> None:
        """Send it a signal; without effect on a child that has ended.

        Raises ValueError for a number that is no signal, and for a thread, whose signals go to the
        whole process.
        Needs: Linux 5.1.
        Source: pidfd_send_signal(2).
        """
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"a signal is a number such as signal.SIGTERM, not {number!r}")
        if not 0 <= number <= LAST_SIGNAL:
            raise ValueError(f"{number} is not a signal")
        if self._is_thread:
            raise ValueError(
                "this child is a thread of this process: a signal would go to all of it"
            )
        self._killed |= number == signal.SIGKILL
        self._resumed |= number == signal.SIGCONT
        try:
            if number == signal.SIGKILL and self._task is not None and self._shares_memory():
                self._kill_sharer(self._task)
            elif self.pidfd is not None or self.poll() is None:
                self._signal(number)
        except ProcessLookupError:
            pass

    def interrupt(self, exception: type[BaseException] = Interrupted) -> bool:
        """Raise an exception in the function, as soon as it runs its next line of Python.

        For a child that shares the memory beside its caller (VM without VFORK, threads too): no
        memory is lost, and ``finally`` runs. A function that waits in a system call, or computes in
        native code, gets it when it comes back; one that has not begun never begins. exception: a
        class; for a child with an interpreter of its own, Interrupted (there a SystemExit) or one
        of Python's own. Returns whether the function was still running.
        Raises ValueError for a child with a memory of its own, and for an exception that its
        interpreter does not know, TypeError for what is no class of
        exceptions.
        Source: PyThreadState_SetAsyncExc.
        """
        kind: object = exception
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"what is raised is a class of exceptions, not {exception!r}")
        if self._task is None:
            raise ValueError("this child has a memory of its own: send it a signal")
        if self._task.own_interpreter:
            return self._maker == os.getpid() and self._task.interrupt(_known_everywhere(exception))
        return self._maker == os.getpid() and self._task.interrupt(exception)

    def terminate(self, grace: float = 1.0) -> None:
        """Ask it to end: SIGTERM; in shared memory interrupt(), and kill() after a time of grace.

        A child in shared memory has no handler of its own to ask: so its function is interrupted,
        and this waits for its end for ``grace`` seconds at most before it kills; a thread is only
        interrupted. For any other child it sends the signal and does not wait, but for a program
        that waits for its start: one that has not ended within ``grace`` seconds is killed. A child
        that is stopped since its clone call (STOPPED) is resumed, with what ends it waiting for it.
        Source: pidfd_send_signal(2).
        """
        if self._task is None or not self._shares_memory():
            self.send_signal(signal.SIGTERM)
            if self._waits_for_resume():
                self.resume()
            # As a program it may block or ignore it; before, nobody is there who will end it.
            if self._starter is not None and not self._has_ended(checked_timeout(grace)):
                self.kill()
            return
        is_asked = self.interrupt()
        if self._waits_for_resume():
            self.resume()
        if is_asked and self._has_ended(checked_timeout(grace)):
            return
        if not self._is_thread:
            self.kill()

    def kill(self) -> None:
        """End it at once: SIGKILL.

        A child that shares the memory is stopped first, and killed where it waits in a system call,
        so that no lock of libc, of the interpreter or of a library dies with it; one that computes in
        native code without a pause is given a second more (of the processor's time; five seconds in
        all), then killed wherever it stands, which ``losses.locks`` tells. With an interpreter of
        its own that is after a fifth of a second.
        Source: pidfd_send_signal(2), proc_pid_syscall(5).
        """
        self.send_signal(signal.SIGKILL)

    def kill_tree(self, timeout: float | None = None, *, orphans: Subreaper | None = None) -> None:
        """Kill it and all that it started: SIGKILL for a whole tree, by the surest way there is.

        timeout: in seconds, None for ever. Comes back when all are dead; the child itself is still
        to be waited for. orphans: adopted ones to kill as well, see below.

        A child born in a cgroup of its own (one that was empty): the kernel kills everybody in it
        and below, at one stroke, also when the child has ended. Only who was moved out escapes.
        Else the init of a pid namespace of its own (NEWPID): the kernel kills everybody in the
        namespace, and nobody can leave one.
        Else its tree is walked: each process is stopped, its children are looked for, until all are
        stopped and none is new; then all are killed. Nobody escapes by forking meanwhile, by setsid,
        or by ignoring signals. Who was orphaned before is not in the tree: a daemon that forked
        twice, or what a child left that has ended. So that they are found, either the child is a
        subreaper while it lives (``ramet.set_subreaper(True)`` in it, before its exec), or this
        process is one, and ``orphans`` is the ramet.Subreaper block in which it is. A child in
        shared memory is not stopped first, and what it starts during the walk may escape.

        Raises TimeoutExpired when some are not dead in time (all have been sent SIGKILL), ValueError
        for a thread, PermissionError when some may not be killed (set-user-ID programs; the others
        are), RuntimeError when the tree cannot be seen for want of a /proc of this pid namespace.
        Needs: Linux 5.3; 5.14 for cgroup.kill, else it walks.
        Source: Documentation/admin-guide/cgroup-v2.rst, pid_namespaces(7),
        proc_pid_task_children(5), PR_SET_CHILD_SUBREAPER(2const).
        """
        timeout = checked_timeout(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self.end_of_tree(orphans).kill(deadline):
            raise TimeoutExpired(self._what, cast(float, timeout))

    def end_of_tree(self, orphans: Subreaper | None = None) -> End:
        """Its end and that of all that it started, in steps; the library's own."""
        if self._is_thread:
            raise ValueError("this child is a thread of this process: its tree is ours")
        shares = self._shares_memory()
        pidfd = self.copied_pidfd()
        own_cgroup = None if self._initial_cgroup is None else self._initial_cgroup.own
        root = Root(self.pid, pidfd, self._flags, shares, own_cgroup, self.kill)
        return End(root, orphans)

    def watched_by(self, deadline_thread: _core.DeadlineThread, timeout: float) -> None:
        """It is to be killed after so many seconds; the library's own."""
        deadline_thread.watch(self, timeout)
        self._deadline_thread = deadline_thread

    def warn_of_losses(self) -> None:
        """It suspended its caller, and ended with losses; the library's own."""
        ended = self._reap(True)
        assert ended is not None
        self._settle(from_waitid(*ended))
        self._warn_of_locks()

    def abandon(self) -> None:
        """Nobody will ever have it: kill and reap it, if it was born; the library's own.

        A thread cannot be killed: its function is interrupted. One that may not be killed, since it
        has other rights by now, is reaped when it ends.
        """
        if self.pid == 0 or self.poll() is not None:
            return
        if self._is_thread:
            self.terminate()
            self.poll()
            return
        with suppress(PermissionError):
            self.kill()
            self.wait()

    def hold_until_end(self, held: "Descriptors | None") -> None:
        """Close them when it has ended; the library's own."""
        self._held = held

    def to_be_started_by(self, starter: "Callable[[Child[Any], Waits], Awaitable[object]]") -> None:
        """It waits before its program; the library's own."""
        self._starter = starter

    def waits_for_start(self) -> bool:
        """Whether it lives and waits for a start() that only this process can give; the library's own."""
        if self._starter is None or self._killed or self._maker != os.getpid():
            return False
        return self._status is None and not self._has_ended(0.0)

    def expect_start(self, otherwise: str = ", or wait with a timeout") -> None:
        """Refuse a wait without an end for one that itself waits for start(); the library's own."""
        if self.waits_for_start():
            raise ValueError(
                f"{self!r} waits for start(), which would never come: call it first{otherwise}"
            )

    def start(self) -> None:
        """Let a child that was made with start=False go on to its program, and wait for that.

        Raises ValueError when it does not wait for its start, or waits for another process's, and
        SpawnError when its program cannot be, or when the child has been killed as it waited (a
        ProcessLookupError too, ESRCH); nothing is left of it then.
        Source: futex(2), execve(2).
        """
        at_once(self.started, BLOCKING)

    async def started(self, waits: Waits) -> None:
        """The same, with waits of another kind; the library's own."""
        if self._maker != os.getpid():
            raise ValueError(f"{self!r} can be started only by the process that made it")
        starter, self._starter = self._starter, None
        if starter is None:
            raise ValueError(f"{self!r} does not wait for its start")
        await starter(self, waits)

    def stop(self) -> None:
        """Stop it: SIGSTOP, until resume(). Source: pidfd_send_signal(2)."""
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on: SIGCONT. Source: pidfd_send_signal(2)."""
        self.send_signal(signal.SIGCONT)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._maker != os.getpid():  # a fork made inside the block, which leaves it as well
            return
        if self.poll() is None and not self._is_thread:
            self.kill()
        self.wait()

    def __repr__(self) -> str:
        if self.pid == 0:
            return "<Child that is not born>"
        return f"<Child {self.pid} {self.flags}: {self._state()}>"

    def _state(self) -> str:
        if self._status is not None:
            return str(self._status)
        if self._has_ended(0.0):
            return "has ended, not waited for yet"
        if self._starter is not None:
            return "waits for start()"
        return (
            "stopped since its clone call, waits for resume()"
            if self._waits_for_resume()
            else "running"
        )

    def _waits_for_resume(self) -> bool:
        """Whether it was born stopped, and nobody has let it go on."""
        return bool(self._flags & STOPPED) and not self._resumed and _is_stopped(self.pid)

    def _forget(self) -> None:
        """Nobody holds it any more, and nobody has waited for it."""
        if self._maker == os.getpid():
            warnings.warn(
                f"child {self.pid} was never waited for", ResourceWarning, stacklevel=2, source=self
            )
            if self._starter is not None:  # nobody can start it any more
                self.kill()
        forgotten.append(_Remains(self))

    def _shares_memory(self) -> bool:
        return self._task is not None and not self._task.done and self._maker == os.getpid()

    # How a child of each kind ends.

    def _has_ended(self, timeout: float | None) -> bool:
        if self._task is not None and self._is_thread:
            return self._task.wait(timeout)
        ended = self._poll(timeout)
        return self._has_ended_without_pidfd(timeout) if ended is None else ended

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
        if self._maker != os.getpid():
            # Another process's child, whose handle a child in shared memory holds as well, or a copy
            # has: only its parent can reap it, and its descriptor is not ours to close.
            return pidfd.exit_status(self.pidfd)
        ended = None if self._is_thread else self._reap(True)
        if ended is None and isinstance(self._outcome, ResultChannel):
            # Another's to reap: perhaps it has not been yet.
            self._outcome.look_at(self.pid, -1 if self.pidfd is None else self.pidfd)
        if ended is not None:
            status = from_waitid(*ended)
        elif self._is_thread:
            status = ExitStatus.unknown()
        else:
            status = pidfd.exit_status(self.pidfd)
        if self._task is not None:
            self._task.wait(None)
            forget(self._task)
            if self._task.expired and status.code is None:
                status = status.because("deadline")
        if (
            self._deadline_thread is not None
            and self._deadline_thread.has_killed()
            and status.code is None
        ):
            status = status.because("deadline")
        return self._concluded(status)

    def _concluded(self, status: ExitStatus) -> ExitStatus:
        """The status as everybody has it: others may have learned it before us."""
        if self._initial_cgroup is not None and self._died_of_memory(status):
            status = status.because("out of memory")
        kept = self._settle(status)
        self._let_go()
        self._close_held()
        if forgotten:
            sweep()
        if kept is status and self._task is not None:
            self._warn_of_locks()
        return kept

    def _close_held(self) -> None:
        if self._held is not None:
            self._held.close()

    def _died_of_memory(self, status: ExitStatus) -> bool:
        """By the count of the cgroup: a SIGKILL through this handle is no such kill."""
        place = self._initial_cgroup
        if status.signal != signal.SIGKILL or self._killed or place is None:
            return False
        return place.oom_kills is not None and place.oom_kills.are_more()

    def _warn_of_locks(self) -> None:
        """Whoever wants such a lock waits for ever, and would like to know why."""
        losses = self.losses
        if losses is not None and losses.locks:
            warnings.warn(
                f"child {self.pid} died with locks that stay locked: {', '.join(losses.locks)}",
                RuntimeWarning,
                stacklevel=5,
            )

    def _outcome_within(self, timeout: float | None) -> tuple[bool, Any]:
        """Whether it was raised, and what was returned or raised."""
        status = self.wait(timeout)
        kind, outcome = self._taken or self._take()
        if kind == NOTHING:
            error = died(status, self.pid, self.losses)
            if self._outcome is None and isinstance(self._what, list):
                error.add_note("a program gives no result: wait() tells how it ended")
            raise error
        return kind == RAISED, outcome

    def _take(self) -> tuple[int, Any]:
        if self._outcome is None:
            return self._taken or (NOTHING, None)
        # A signal handler may ask for the outcome in the midst of its own thread's asking.
        with self.__dict__.setdefault("_taking", RLock()):
            if self._taken is None:
                if isinstance(self._outcome, _core.SharedTask):
                    self._take_shared()  # in one step: a signal handler may raise here
                else:
                    self._taken = self._outcome.take()
                self._outcome = None
            return self._taken or (NOTHING, None)


@functools.cache
def _awaiting() -> ModuleType:
    """What needs anyio: importing ramet needs nothing that is installed beside it."""
    from . import awaiting

    return awaiting


C = TypeVar("C", bound=Child[Any])


def make_child(child: C, make: "Callable[..., object]", *arguments: Any) -> C:
    """The child that ``make(child, *arguments)`` makes; the handle is there before.

    Whatever is raised before the caller has it, nothing is left of it: so nothing comes after the
    call of this, in whoever makes a child.
    """
    try:
        make(child, *arguments)
        return child  # within, since a signal's handler may raise at this line as well
    except BaseException:
        child.abandon()
        raise


class _Remains:
    """What is left to do for a child whose handle is gone."""

    def __init__(self, child: Child[Any]) -> None:
        self.owner = child._maker
        self._pid = child.pid
        self._pidfd = child._take_pidfd()
        self._task = child._task
        self._held = child._held
        self._is_reaped = child._is_thread

    def settled(self) -> bool:
        """Reap it if it has ended; whether nothing is left to do."""
        self._is_reaped = self._is_reaped or self._reaped()
        if not self._is_reaped:
            return False
        if self._task is not None:
            if (
                not self._task.done
            ):  # a thread that runs, or a host thread that has not yet tidied up
                return False
            forget(self._task)
        if self._held is not None:
            self._held.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
        return True

    def _reaped(self) -> bool:
        try:
            if self._waitid(_P_PID, self._pid, _WNOWAIT) is None:
                return False
            if self._pidfd is not None and not self._has_its_pidfd(self._pidfd):
                self._pidfd = None
            if self._pidfd is None:
                return self._waitid(_P_PID, self._pid) is not None
            return self._waitid(_P_PIDFD, self._pidfd) is not None
        except ChildProcessError:
            return True
        except OSError:
            return False

    def _has_its_pidfd(self, number: int) -> bool:
        """Whether the number stands for the child, which has ended, in this thread's table as well.

        What a thread opens after unshare(FILES) is in its own table alone. In ours something else may
        have the number, which is to be left alone.
        """
        try:
            ended = self._waitid(_P_PIDFD, number, _WNOWAIT)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            return False
        return ended is not None and ended[0] == self._pid

    def _waitid(
        self, kind: int, number: int, option: int = 0
    ) -> tuple[int, int, int, bytes] | None:
        return _core.waitid(kind, number, option | _WEXITED | _WNOHANG | _WALL)


forgotten: list[_Remains] = []


def sweep() -> None:
    """Reap the forgotten children that have ended. Source: waitid(2)."""
    if not forgotten:
        return
    me = os.getpid()
    # One task takes an entry at a time: a child in shared memory sees the same list.
    for _ in range(len(forgotten)):
        try:
            remains = forgotten.pop(0)
        except IndexError:
            return
        # With its maker all ended that was the maker's: the descriptor, too.
        stays = _exists(remains.owner) if remains.owner != me else not remains.settled()
        if stays:
            forgotten.append(remains)


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


def _known_everywhere(exception: type[BaseException]) -> type[BaseException] | None:
    """The exception as every interpreter knows it; None is Interrupted."""
    if exception is Interrupted:
        return None
    # A few of Python's own, such as ExceptionGroup, are made anew in each.
    if exception.__flags__ & _MADE_AT_RUN_TIME or not hasattr(builtins, exception.__name__):
        raise ValueError(
            f"an interpreter of its own knows no {exception.__qualname__}: "
            "only Interrupted and Python's own exceptions can be raised there"
        )
    return exception


def _is_stopped(pid: int) -> bool:
    """By /proc/PID/stat: its state comes after the name, which may have brackets itself."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[:1] == [b"T"]
    except OSError:
        return False


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
