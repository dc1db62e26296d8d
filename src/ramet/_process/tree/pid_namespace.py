"""A pid namespace of a call's own: all that the call has started ends with the init of the namespace."""

import contextlib
import errno
import math
import os
import signal
import time
from _thread import RLock

from ... import _core
from ..._core import Held
from ..._kernel import pidfd, procfs
from ..._kernel.clone_bits import NEWPID
from ..._kernel.names import WALL
from ..._kernel.signal_handlers import is_from_handler
from ..._kernel.timeouts import pauses, seconds_until
from ..unreaped import unreaped

FIRST_CHILD, FOR_ALL = 2, -1  # native/child/namespace_init.h
# For all of a namespace to die, before a look at what keeps it: native/python/namespace_of_child.c.
_LOOK_SECONDS = 0.1


def new(held: int = -1) -> tuple[int, int]:
    """Make the init of a new pid namespace as a child of this process's parent; returns its pid and pidfd.

    For a template, which then makes a child of its own parent in the namespace, join_for_children(), and
    tells the init of it: begin().
    The init ends with the parent, and all of the namespace with it. It is a task in this process's memory,
    which therefore stays as long as the init does, unless there is held: a descriptor of which the init
    keeps a copy until this process has ended and the init has unmapped that memory. Nothing else may run
    in it then. The pidfd is the caller's to close.
    OSError: EPERM without CAP_SYS_ADMIN, ENOSPC where the limit on pid namespaces is reached, EINVAL while
    this process's children are to be made in another namespace, or where it is itself an init.
    Source: clone(2), pid_namespaces(7).
    """
    return _core.new_pid_namespace(held)


def join_for_children(init: int, pidfd_of_init: int) -> None:
    """Have the children that this thread makes from now on be made in that init's namespace: setns(2).

    OSError: EPERM without CAP_SYS_ADMIN, ESRCH when the init has ended.
    """
    _set_namespace_of_children(init, pidfd_of_init)


def begin(init: int, child: int = FIRST_CHILD) -> None:
    """Have all in that init's namespace end when the child ends: its number there, or FOR_ALL for no child.

    To be called once, as soon as there is the child.
    """
    _core.begin_in_pid_namespace(init, child)


def leave() -> None:
    """Have the children that this thread makes from now on be made in its own pid namespace: setns(2)."""
    own = os.getpid()
    try:
        descriptor = os.pidfd_open(own)
    except OSError:  # a filter hides it
        _set_namespace_of_children(own, None)
        return
    try:
        _set_namespace_of_children(own, descriptor)
    finally:
        os.close(descriptor)


class PidNamespace:
    """The namespace of a child, seen from the parent of the child and of the init.

    It owns the pidfd, a negative number where none could be opened: then the pid stands for the init, which
    no other process can have before this one has reaped it. A child in the namespace must be reaped before
    the init can be: the kernel keeps the init until all in the namespace are reaped, and those that are
    nobody's children it reaps itself.
    """

    _is_killed = _is_reaped = _is_to_end = _is_empty = False
    _reaps_at = math.inf  # in seconds of time.monotonic()

    def __init__(self, init: int, pidfd_of_init: int) -> None:
        self.pid = init
        self.owner = os.getpid()
        self._pidfd = pidfd_of_init
        self._ending = RLock()

    def fileno(self) -> int:
        """The init's pidfd: readable when no process of the namespace is left."""
        return self._pidfd

    def kill(self) -> None:
        """Kill all processes of the namespace at once: SIGKILL to its init."""
        if self._is_killed or self._is_reaped:
            return
        try:
            if self._pidfd >= 0:
                pidfd.send(self._pidfd, self.pid, signal.SIGKILL)
            elif not self._has_ended(0.0):
                os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._is_killed = True

    def end(self, deadline: float | None = None) -> bool:
        """Kill them all, wait until they are dead, reap the init and close its pidfd.

        To be called when the child was reaped. deadline: in seconds of time.monotonic(), None for none.
        Returns whether they are dead by the deadline; if not, or if it was interrupted, it can be called
        again.
        """
        with Held(self._ending) as take:  # two threads may have waited for the child
            take()
            self.kill()
            seconds = seconds_until(deadline)
            if seconds is not None:
                return self._is_reaped or self._reap(seconds)
            self._reap_at_last()
            return True

    def _reap_at_last(self) -> None:
        while not (self._is_reaped or self._reap(_LOOK_SECONDS)):
            self._reap_left()

    def is_left_alone(self, children_of_init: int) -> bool:
        """Whether no process is left in it but the init, which then waits to be killed, by end().

        For the namespace of a child that was launched ahead, when that was reaped: what was below it is
        below the init now. What the init takes with it takes longer than most programs: who has a use for
        the time calls end() later.
        children_of_init: a descriptor of the file in /proc, by which it is known.
        """
        if not (self._is_killed or self._is_reaped):
            try:
                self._is_empty = not os.pread(children_of_init, 1, 0)
            except OSError as error:
                if is_from_handler(error):
                    raise
        return self._is_empty

    def await_empty(self) -> None:
        """To be called when the child was reaped: returns when no process is left but the init."""
        if not self._is_empty and self.owner == os.getpid():
            self.end()

    def _reap_left(self) -> None:
        """Those that its child has made as children of this process: CLONE_PARENT."""
        own = _namespace_of(self.pid)
        for child in procfs.children(os.getpid()):
            if own and child != self.pid and _namespace_of(child) == own:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child, os.WNOHANG | WALL)

    def leave(self, *, has_others: bool = False) -> None:
        """Kill them all; the init is reaped when they are dead, and this does not wait for that.

        has_others: a handle may wait for one in it, which is left for that then. Else what its child has
        made as children of this process is reaped as well.
        """
        self._is_to_end = True
        if not has_others:
            self._reaps_at = time.monotonic() + _LOOK_SECONDS
        self.leave_to_end()  # before the kill: a signal handler may raise between the two
        with Held(self._ending) as take:
            take()
            self.kill()

    def leave_to_end(self) -> None:
        """Have the init reaped when it has ended by itself."""
        unreaped.append(self)

    def finish(self) -> bool:
        """Reap the init if it has ended; returns whether nothing is left to do."""
        with Held(self._ending) as take:
            if not take(blocking=False):  # end() of another thread does
                return False
            if self._is_to_end:
                self.kill()
            if self._is_reaped or self._reap(0.0):
                return True
            if time.monotonic() < self._reaps_at:  # most end before a look is worth it
                return False
            self._reaps_at = time.monotonic() + _LOOK_SECONDS
            self._reap_left()
            return self._reap(0.0)

    def _reap(self, seconds: float) -> bool:
        """Reap the init if it ends in so many seconds; whether it has.

        A signal handler may raise after any call: what can be repeated comes first.
        """
        if not self._has_ended(seconds):
            return False
        # There is no such child where SIGCHLD is ignored, or a wait for any child was quicker.
        try:  # noqa: SIM105 - as short as can be: each confined child comes here
            os.waitid(*self._id, os.WEXITED | os.WNOHANG | WALL)
        except ChildProcessError:
            pass
        self._is_reaped, descriptor, self._pidfd = True, self._pidfd, -1
        if descriptor >= 0:
            os.close(descriptor)
        return True

    @property
    def _id(self) -> tuple[int, int]:
        return (os.P_PIDFD, self._pidfd) if self._pidfd >= 0 else (os.P_PID, self.pid)

    def _has_ended(self, seconds: float) -> bool:
        """Whether it is dead in so many seconds."""
        if self._pidfd >= 0:
            return pidfd.wait_readable(self._pidfd, seconds)
        deadline = time.monotonic() + seconds
        for pause in pauses():  # waitid(2) has no timeout
            try:
                if os.waitid(*self._id, os.WEXITED | os.WNOHANG | os.WNOWAIT | WALL) is not None:
                    return True
            except ChildProcessError:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(pause)
        return False


def _namespace_of(pid: int) -> str:
    """Empty where that cannot be seen, or the process is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _set_namespace_of_children(pid: int, descriptor: int | None) -> None:
    number = errno.EINVAL if descriptor is None else _setns(descriptor)
    if number == errno.EINVAL:  # Linux before 5.8 takes no pidfd
        number = _setns_by_file(pid)
    if number:
        raise OSError(number, os.strerror(number))


def _setns_by_file(pid: int) -> int:
    file = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _setns(file)
    finally:
        os.close(file)


def _setns(descriptor: int) -> int:
    """The errno; os.setns() is there from Python 3.12 on."""
    _, number = _core.do_steps(_core.Plan([("SETNS", descriptor, NEWPID)]))
    return number
