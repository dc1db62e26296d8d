"""The handle of a child: waiting, signals, and its result."""

import builtins
import functools
import os
import signal
import warnings
from _thread import RLock
from collections.abc import Generator
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from .. import _core
from .._kernel import pidfd, procfs
from .._kernel.clone_bits import STOPPED, THREAD, VFORK
from .._kernel.timeouts import checked_timeout, deadline_after
from ..errors import Interrupted, TimeoutExpired, called, died, still_running
from ..exit_status import END, ExitStatus, from_waitid
from ..flags import LAST_SIGNAL, CloneFlag
from ..losses import Losses
from .belongings import NO_BELONGINGS, Belongings
from .blocking import BLOCKING, Waits, run_blocking
from .memory_sharers import remove_sharer
from .result_channel import NOTHING, RAISED, ResultChannel
from .tree.end import End, Root
from .tree.pid_namespace import PidNamespace
from .tree.subreaper import Subreaper
from .unreaped import Unreaped, reap_ended, unreaped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T_co = TypeVar("T_co", covariant=True)

_core.know_exit_status(ExitStatus, END)

_MADE_AT_RUN_TIME = 1 << 9  # Py_TPFLAGS_HEAPTYPE


class Child(_core.Handle, Generic[T_co]):
    """A task that this process made.

    ``pid``; ``pidfd``, which this object owns and closes when the child has been waited for; ``flags``,
    as requested. Signals and waits use the pidfd, never a pid that another task may have by now. As a
    context manager it kills and reaps a child that still runs at the end of the block. A handle that is
    dropped before its child was waited for gives a ResourceWarning; the child is reaped later.

    Source: clone(2), pidfd_open(2), waitid(2).
    """

    # Class attributes, since few children need one of their own.
    _starter: "Callable[[Child[Any], Waits], Awaitable[object]] | None" = None  # what start() calls
    _killed = False
    _resumed = False
    _is_left = False
    _namespace: PidNamespace | None = None  # once it is ended in Python; see _own_namespace()
    _belongings: Belongings = NO_BELONGINGS  # that end with it, in the order that is told there

    @property
    def _is_thread(self) -> bool:
        return bool(self._flags & THREAD)

    @property
    def flags(self) -> CloneFlag:
        """The flags, as requested."""
        return CloneFlag(self._flags)

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended; None until it has been waited for."""
        return self._status

    @property
    def losses(self) -> Losses | None:
        """What was lost with a child in shared memory that died while it ran its function.

        None for any other child, and until it has been waited for.
        """
        return None if self._status is None or self._task is None else self._task.losses

    def fileno(self) -> int:
        """The pidfd, which becomes readable when the child has ended: for any selector.

        Raises ValueError when the child has been waited for.
        Needs: Linux 5.3 (a thread: 6.9).
        Source: pidfd_open(2).
        """
        descriptor = self.pidfd
        if descriptor is None:
            raise ValueError(f"{self!r} has no pidfd open{self._why_no_pidfd()}")
        return descriptor

    def _why_no_pidfd(self) -> str:
        if self._flags & VFORK and self._status is not None:
            return ": vfork() has waited for it, and reaped it, as it ended without an exec"
        return ": it has been waited for" if self._status is not None else ""

    def _has_no(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(f"'Child' object has no attribute {name!r}", name=name, obj=self)
        from .._preflight.hints import no_attribute_of

        raise no_attribute_of("Child", self, name)

    def poll(self) -> ExitStatus | None:
        """How it ended, or None while it runs; does not wait.

        Source: waitid(2) WNOHANG.
        """
        if self._status is None and self._has_ended(0.0):
            return self._conclude()
        return self.exit_status

    def wait(self, timeout: float | None = None) -> ExitStatus:
        """Wait until it has ended.

        timeout: in seconds, None for ever. Returns how it ended, with its rusage. The status is unknown
        where the kernel gives none: for a thread; for a child that was reaped by another parent or by
        other means than this handle, before Linux 6.15; and for one of another parent that has not reaped
        it, where there is no /proc or ptrace(2) would not be allowed, as after a change of user.
        Raises TimeoutExpired (the child runs on); ValueError for a timeout that is negative or NaN, and
        without a timeout for a child that waits for start().
        Source: poll(2) on a pidfd, waitid(2) with __WALL; the tid word of CHILD_CLEARTID for a
        thread; proc_pid_stat(5) exit_code and PIDFD_INFO_EXIT for a child of another parent.
        """
        if timeout is None:
            if self._starter is not None:
                self._refuse_endless_wait()
            try:
                status = self._exited()
            except BaseException:
                if self._status is not None:  # no other wait may come here
                    self._leave_namespace()
                raise
            if status is not None:
                has_namespace = self._init_stays or self._namespace is not None
                if self._task is not None or has_namespace or unreaped:
                    self._put_in_order()
                return status
        else:
            checked_timeout(timeout)
        if self._status is None:
            if not self._has_ended(timeout):
                raise still_running(self._what, cast(float, timeout), self.pid)
            return self._conclude()
        self._await_namespace()
        return self._status

    def _put_in_order(self) -> None:
        """What is left to do after a wait by the core."""
        if self._task is not None:
            remove_sharer(self._task)
        if self._init_stays and self._maker == os.getpid():
            self._reap_others()
            self._belongings.gone()
            self._init_stays = False
            return
        if unreaped:
            reap_ended()
        if self._namespace is not None:  # another thread may be ending it
            self._await_namespace()

    def _await_namespace(self) -> None:
        """Of one that has been reaped: all that is in it is dead, too."""
        namespace = self._own_namespace() if self._maker == os.getpid() else self._namespace
        if namespace is not None:
            try:
                namespace.await_empty()
            except BaseException:
                self._leave_namespace()
                raise

    def _leave_namespace(self) -> None:
        """Of one that has been reaped: have all in it killed, and the init reaped when they are dead."""
        namespace = self._own_namespace() if self._maker == os.getpid() else None
        if namespace is not None:
            namespace.leave()

    def result(self, timeout: float | None = None) -> T_co:
        """What the function returned; an exception that it raised is raised here.

        timeout: in seconds, None for ever. A child with a memory of its own sends a copy, and an exception
        has the child's traceback as its cause; a child in shared memory gives the object itself.
        Raises ChildDied when the child ended without a result, as DeadlineExceeded (a TimeoutError) when
        it was killed at its ``timeout=``; ResultError when the result cannot be sent or read; RemoteError
        for an exception of a less trusted child (see clone()); TimeoutExpired when the child has not ended
        within the timeout: it runs on.
        """
        if timeout is None:
            value: T_co = self._delivered()
            if value is not NotImplemented:
                if self._task is not None:
                    remove_sharer(self._task)
                if self._belongings.held is not None:
                    self._belongings.held.close()
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
        """result() under asyncio or trio, without blocking the loop; of a program its ExitStatus.

        A cancellation kills and reaps the child. A child in shared memory is interrupted, so that no
        memory is lost, and killed when it has not ended after a second; see terminate().
        Raises ValueError for a child that waits for start().
        Needs: anyio, installed by the extra ``aio``.
        Source: pidfd_open(2).
        """
        if self._starter is not None:
            self._refuse_endless_wait(otherwise="")
        awaiting = _awaiting()
        ended = awaiting.conclude(self, awaiting.end if self._task is None else awaiting.interrupt)
        if self._outcome is None and self._taken is None:  # a program's
            return cast("Generator[Any, Any, T_co]", ended.__await__())
        return self._result_after(ended).__await__()

    async def _result_after(self, ended: "Awaitable[object]") -> T_co:
        await ended
        return self.result()

    def send_signal(self, number: int) -> None:
        """Send it a signal; does nothing when the child has ended.

        Raises ValueError for a number that is not a signal, and for a thread, since a signal for it goes
        to the whole process.
        Needs: Linux 5.1.
        Source: pidfd_send_signal(2).
        """
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(
                f"invalid signal: expected a number such as signal.SIGTERM, got {number!r}"
            )
        if not 0 <= number <= LAST_SIGNAL:
            raise ValueError(f"invalid signal: expected 0 to {LAST_SIGNAL}, got {number}")
        if self._is_thread:
            raise ValueError(
                "this child is a thread of this process: a signal would go to the whole process"
            )
        self._killed |= number == signal.SIGKILL
        self._resumed |= number == signal.SIGCONT
        try:
            if number == signal.SIGKILL and self._task is not None and self._shares_memory():
                self._kill_sharer(self._task)
            # Not by poll(): another thread that settles how it ended may wait for who calls this.
            elif self.pidfd is not None or not Child._has_ended(self, 0.0):
                self._signal(number)
        except ProcessLookupError:
            pass

    def interrupt(self, exception: type[BaseException] = Interrupted) -> bool:
        """Raise an exception in the function, at its next line of Python.

        For a child in shared memory beside its caller (VM without VFORK, with or without THREAD): no
        memory is lost, and ``finally`` runs. A function in a system call or in native code gets the
        exception when it returns to Python; a function that has not begun does not begin. A function that
        has returned or died gets none, also while its child waits for the threads that it started.
        exception: a class; for a child with a subinterpreter, Interrupted (a SystemExit there) or a builtin
        one.
        Returns whether the function was still running.
        Raises ValueError for a child with a memory of its own, and for an exception that the
        subinterpreter does not know; TypeError for anything but an exception class.
        Source: PyThreadState_SetAsyncExc.
        """
        kind: object = exception
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"invalid exception: expected a class of exceptions, got {exception!r}")
        if self._task is None:
            raise ValueError("this child has a memory of its own: use send_signal() or terminate()")
        if self._task.own_interpreter:
            return self._maker == os.getpid() and self._task.interrupt(_known_everywhere(exception))
        return self._maker == os.getpid() and self._task.interrupt(exception)

    def terminate(self, grace: float = 1.0) -> None:
        """Ask it to end: SIGTERM; in shared memory interrupt(), and kill() after ``grace`` seconds.

        A child in shared memory has no signal handler of its own: so its function is interrupted, and
        killed when it has not ended within ``grace`` seconds; a thread is only interrupted. Any other child
        gets the signal, and this does not wait, with one exception: a program that waits for start() is
        killed when it has not ended within ``grace`` seconds. A child that has been stopped since its clone
        call (STOPPED) is resumed, with the signal or exception pending.
        Source: pidfd_send_signal(2).
        """
        checked_timeout(grace, "grace")
        if self._task is None or not self._shares_memory():
            if self._is_thread and self._task is not None and self._task.done:
                return
            self.send_signal(signal.SIGTERM)
            if self._waits_for_resume():
                self.resume()
            # The program may block or ignore it; before that, no code of its own runs that could end it.
            if self._starter is not None and not self._has_ended(grace):
                self.kill()
            return
        self.interrupt()
        if self._waits_for_resume():
            self.resume()
        # One whose function is over cannot be asked any more, and has the same time for its end.
        if self._maker == os.getpid() and self._has_ended(grace):
            return
        if not self._is_thread:
            self.kill()

    def kill(self) -> None:
        """Kill it: SIGKILL.

        A child in shared memory is stopped first, and killed at a safe point, so that it holds no lock of
        libc, of the interpreter or of a library. One that computes in native code without a pause gets a
        second more of processor time (five seconds of real time at most), and is then killed where it is;
        ``losses.locks`` names what may stay locked. With a subinterpreter it gets a fifth of a second.
        Source: pidfd_send_signal(2), proc_pid_syscall(5).
        """
        self.send_signal(signal.SIGKILL)

    def kill_tree(self, timeout: float | None = None, *, orphans: Subreaper | None = None) -> None:
        """Kill it and all processes that it started: SIGKILL, by the most reliable way available.

        timeout: in seconds, None for ever. Returns when all are dead; the child itself must still be
        waited for. orphans: a Subreaper whose orphaned processes are killed as well, see below.

        For a child made in a cgroup of its own (one that was empty), the kernel kills all processes in it
        and below it at once, also when the child has ended. Only a process that was moved out escapes.
        Before Linux 5.14 each is killed instead, until there is none that was not.
        Else, for the init of a pid namespace (NEWPID), the kernel kills all processes in the namespace,
        which none can leave.
        Else the tree is walked: each process is stopped and its children are listed, until all are
        stopped and no new one is found; then all are killed. None escapes by forking meanwhile, by setsid,
        or by ignoring signals. A process that was orphaned before is not in the tree: a daemon that forked
        twice, or a child of a process that has ended. It is found if the child is a subreaper while it
        lives (``ramet.set_subreaper(True)`` in it, before its exec), or if this process is one and
        ``orphans`` is its ramet.Subreaper block. A child in shared memory is not stopped first, and a
        process that it starts during the walk may escape.

        Raises TimeoutExpired when some have not died in time (SIGKILL was sent to all); ValueError for a
        thread; PermissionError when some may not be killed (set-user-ID programs; all others are);
        RuntimeError when there is no /proc of this pid namespace to find the tree in; OSError (EMFILE)
        when no descriptor is free to look there: then only what was found before is killed.
        Needs: Linux 5.3.
        Source: Documentation/admin-guide/cgroup-v2.rst, pid_namespaces(7),
        proc_tid_children(5), PR_SET_CHILD_SUBREAPER(2const).
        """
        timeout = checked_timeout(timeout)
        if not self._end_of_tree(orphans).kill(deadline_after(timeout)):
            raise TimeoutExpired(self._what, cast(float, timeout))

    def _end_of_tree(self, orphans: Subreaper | None = None) -> End:
        """The steps of kill_tree(), for those who ask the processes to end first."""
        if self._is_thread:
            raise ValueError(
                "this child is a thread of this process: kill_tree() would kill the process"
            )
        shares = self._shares_memory()
        pidfd = self._copied_pidfd()
        root = Root(self.pid, pidfd, self._flags, shares, self._belongings.own_cgroup, self.kill)
        return End(root, orphans)

    def _own_namespace(self) -> PidNamespace | None:
        """The pid namespace that was made for it and ends with it."""
        if self._namespace is None:
            self._give_init(PidNamespace)
        return self._namespace

    def _own_belongings(self) -> Belongings:
        """For who makes it, to add to."""
        if self._belongings is NO_BELONGINGS:
            self._belongings = Belongings()
        return self._belongings

    def _expire_after(self, deadline_thread: _core.DeadlineThread, timeout: float) -> None:
        """Let the thread kill it after so many seconds."""
        deadline_thread.watch(self, timeout)
        self._own_belongings().deadline_thread = deadline_thread

    @property
    def report(self) -> Any:
        """With ``sandbox=``: what it has used, and what ended it; None before its end."""
        return self._belongings.report(self._status)

    @property
    def changes(self) -> Any:
        """With ``overlay`` of its sandbox: what it has done to files; None before its end."""
        report = self.report
        return None if report is None else report.changes

    def _warn_of_losses(self) -> None:
        """Reap a child of vfork() that died with losses, and warn."""
        ended = self._reap(True)
        assert ended is not None
        self._keep_status(from_waitid(*ended))
        self._warn_of_locks()

    def _discard(self) -> None:
        """Kill and reap a child whose handle will not be returned, if it was made.

        A thread cannot be killed: its function is interrupted. A child that has other rights by now, and
        may not be killed, is reaped when it ends.
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

    def _waits_for_start(self) -> bool:
        """Whether it waits for start() of this process."""
        if self._starter is None or self._killed or self._maker != os.getpid():
            return False
        return self._status is None and not self._has_ended(0.0)

    def _refuse_endless_wait(self, otherwise: str = ", or wait with a timeout") -> None:
        """ValueError for a wait without timeout for a child that waits for start()."""
        if self._waits_for_start():
            raise ValueError(
                f"{self!r} waits for start() and would never end: call start() first{otherwise}"
            )

    def start(self) -> None:
        """Let a child made with start=False go on to its program, and wait until it runs.

        Raises ValueError when the child does not wait for start(), or not of this process; SpawnError
        when the program cannot be executed, or when the child was killed while it waited (then also a
        ProcessLookupError, ESRCH). The child has been reaped then.
        Source: futex(2), execve(2).
        """
        run_blocking(self._start, BLOCKING)

    async def _start(self, waits: Waits) -> None:
        """start(), with waits that block or do not."""
        if self._maker != os.getpid():
            raise ValueError(f"{self!r} can be started by the process that made it only")
        starter, self._starter = self._starter, None
        if starter is None:
            raise ValueError(
                f"{self!r} does not wait for start(): it has started, or was not made with start=False"
            )
        await starter(self, waits)

    def stop(self) -> None:
        """Stop it: SIGSTOP, until resume(). Source: pidfd_send_signal(2)."""
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on: SIGCONT. Source: pidfd_send_signal(2)."""
        self.send_signal(signal.SIGCONT)

    def __exit__(self, *_: object) -> None:
        if self._maker != os.getpid():  # a copy made by fork() inside the block leaves it, too
            return
        if self.poll() is None and not self._is_thread:
            self.kill()
        self.wait()

    def __repr__(self) -> str:
        if self.pid == 0:
            return "<Child: not made>"
        return f"<Child {self.pid} {self.flags}: {self._state()}>"

    def _repr_html_(self) -> str:
        from .child_page import page  # for a notebook

        try:
            state = self._state() if self.pid else "not made"
        except OSError as error:  # its descriptor is not open any more
            state = f"not known: {error.strerror}"
        return page(self.pid, state, self.flags, self._what)

    def _state(self) -> str:
        if self._status is not None:
            return str(self._status)
        if self._has_ended(0.0):
            return "has ended, not waited for yet"
        if self._starter is not None:
            return "waits for start()"
        return "stopped, waits for resume()" if self._waits_for_resume() else "running"

    def _waits_for_resume(self) -> bool:
        """Whether it was made with STOPPED and has not been resumed."""
        return self._flags & STOPPED != 0 and not self._resumed and procfs.state(self.pid) == "T"

    def _forget(self) -> None:
        """The last reference goes, and it has not been waited for: called by the core."""
        try:
            if self._maker == os.getpid():
                if self._entered and not self._is_thread:  # of a block that was not left in order
                    self.kill()
                else:
                    self._tell_forgotten()  # an exception, with -W error
        finally:
            self._leave_unwaited()

    def _leave_unwaited(self) -> None:
        """Have it reaped when it has ended."""
        self._is_left = True
        if self._maker == os.getpid():
            if self._starter is not None:  # start() cannot be called any more
                self.kill()
            if (namespace := self._own_namespace()) is not None:
                namespace.leave()
            supervision = self._belongings.supervised()
            if supervision is not None:
                self.kill()
                supervision.give_up()
        unreaped.append(
            Unreaped(
                *(self._maker, self.pid, self._take_pidfd(), self._task, self._belongings.held),
                is_thread=self._is_thread,
            )
        )

    def _tell_forgotten(self) -> None:
        warnings.warn(
            f"child {self.pid} was never waited for", ResourceWarning, stacklevel=3, source=self
        )

    def _shares_memory(self) -> bool:
        return self._task is not None and not self._task.done and self._maker == os.getpid()

    # ---- how a child of each kind ends

    def _has_ended(self, timeout: float | None) -> bool:
        if self._task is not None and self._is_thread:
            return self._task.wait(timeout)
        ended = self._poll(timeout)
        return pidfd.wait_by_pid(self.pid, timeout) if ended is None else ended

    def _conclude(self) -> ExitStatus:
        """It has ended: reap it, settle its status, and close what it holds."""
        if self._maker != os.getpid():
            # The handle is seen by a child in shared memory, or by a copy made by fork(): only the
            # process that made the child can reap it, and owns the descriptor.
            return pidfd.exit_status(self.pidfd)
        if self._is_left:  # garbage, and asked by other garbage; it may run for ever
            return ExitStatus.unknown()
        status = self._status_at_end()
        is_expired = self._belongings.is_expired()
        if self._task is not None:
            self._task.wait(None)
            remove_sharer(self._task)
            is_expired = is_expired or self._task.expired
        if is_expired and status.code is None:
            status = status.because("deadline")
        return self._concluded(status)

    def _status_at_end(self) -> ExitStatus:
        """Reap it; where waitid(2) tells nothing of it, by other means, if there are any."""
        if self._is_thread:
            return ExitStatus.unknown()
        ended = self._reap(True)
        if ended is not None:
            return from_waitid(*ended)
        if isinstance(self._outcome, ResultChannel):
            # It has another parent, which may not have reaped it yet.
            self._outcome.compare_rights(self.pid, -1 if self.pidfd is None else self.pidfd)
        return pidfd.exit_status(self.pidfd)

    def _concluded(self, status: ExitStatus) -> ExitStatus:
        """Settle the status: another thread may have settled one before, which then holds."""
        status = self._belongings.reasoned(status, is_killed_by_us=self._killed)
        kept = self._keep_status(status)
        self._let_go()
        self._belongings.close()
        self._reap_others()
        self._belongings.gone()
        self._init_stays = False
        if kept is status and self._task is not None:
            self._warn_of_locks()
        return kept

    def _reap_others(self) -> None:
        """Those whom nobody waits for, and all in its pid namespace."""
        if unreaped:
            reap_ended()
        namespace = self._own_namespace()
        if namespace is None:
            return
        try:
            if not self._belongings.ends_later(namespace):
                namespace.end()
        except BaseException:  # the status is known, and no other wait comes here
            namespace.leave()
            raise

    def _warn_of_locks(self) -> None:
        """A thread that acquires such a lock waits for ever: the warning tells why."""
        losses = self.losses
        if losses is not None and losses.locks:
            warnings.warn(
                f"child {self.pid} died holding locks that stay locked: {', '.join(losses.locks)}",
                RuntimeWarning,
                stacklevel=5,
            )

    def _outcome_within(self, timeout: float | None) -> tuple[bool, Any]:
        """Whether the function raised, and what it returned or raised."""
        status = self.wait(timeout)
        kind, outcome = self._taken or self._take()
        if kind == NOTHING:
            error = died(status, self.pid, self.losses, called(self._what))
            if self._outcome is None and isinstance(self._what, list):
                error.add_note("a program has no result: wait() returns how it ended")
            raise error
        return kind == RAISED, outcome

    def _take(self) -> tuple[int, Any]:
        if self._outcome is None:
            return self._taken or (NOTHING, None)
        # A signal handler may call result() while its own thread is in here.
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
    """The module that needs anyio, which is not a dependency of ramet itself."""
    from . import awaiting

    return awaiting


C = TypeVar("C", bound=Child[Any])


def make_child(child: C, make: "Callable[..., object]", *arguments: Any) -> C:
    """Make a child by ``make(child, *arguments)`` and return it.

    The handle exists before the child: when an exception, of a signal handler too, comes before the
    caller has the handle, the child is killed and reaped. So this call is the last of its callers' lines.
    """
    try:
        make(child, *arguments)
        return child  # inside the try, since a signal handler may raise at this line, too
    except BaseException:
        child._discard()
        raise


def _known_everywhere(exception: type[BaseException]) -> type[BaseException] | None:
    """The exception if it is the same object in every interpreter, None for Interrupted."""
    if exception is Interrupted:
        return None
    # A few builtin ones, such as ExceptionGroup, are made anew in each interpreter.
    if exception.__flags__ & _MADE_AT_RUN_TIME or not hasattr(builtins, exception.__name__):
        raise ValueError(
            f"invalid exception: expected Interrupted or a builtin one for a child with an interpreter "
            f"of its own, got {exception.__qualname__}"
        )
    return exception
