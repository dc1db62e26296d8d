"""A pid namespace of a call's own: all that the call has started ends with the init of the namespace."""

import contextlib
import errno
import os
import signal

from ... import _core
from ..._kernel import pidfd, procfs
from ..._kernel.clone_bits import NEWPID
from ..._kernel.names import WALL
from ..._kernel.timeouts import seconds_until
from ..unreaped import leave_to_be_reaped

_LOOK_SECONDS = 0.1  # for all of a namespace to die, before a look at what keeps it


def new() -> tuple[int, int]:
    """Make the init of a new pid namespace as a child of this process's parent; returns its pid and pidfd.

    For a template, which then makes a child of its own parent in the namespace: ``join_for_children()``.
    The init ends with the parent, and all of the namespace with it. It is a task in this process's memory,
    which therefore stays as long as the init does. The pidfd is the caller's to close.
    OSError: EPERM without CAP_SYS_ADMIN, ENOSPC where the limit on pid namespaces is reached, EINVAL while
    this process's children are to be made in another namespace, or where it is itself an init.
    Source: clone(2), pid_namespaces(7).
    """
    return _core.new_pid_namespace()


def join_for_children(init: int, pidfd_of_init: int) -> None:
    """Have the children that this thread makes from now on be made in that init's namespace: setns(2).

    OSError: EPERM without CAP_SYS_ADMIN, ESRCH when the init has ended.
    """
    _set_namespace_of_children(init, pidfd_of_init)


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

    It owns the pidfd. A child in the namespace must be reaped before the init can be: the kernel keeps the
    init until all in the namespace are reaped, and those that are nobody's children it reaps itself.
    """

    def __init__(self, init: int, pidfd_of_init: int) -> None:
        self.pid = init
        self._pidfd = pidfd_of_init

    def fileno(self) -> int:
        """The init's pidfd: readable when no process of the namespace is left."""
        return self._pidfd

    def kill(self) -> None:
        """Kill all processes of the namespace at once: SIGKILL to its init."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                pidfd.send(self._pidfd, self.pid, signal.SIGKILL)

    def end(self, deadline: float | None = None) -> bool:
        """Kill them all, wait until they are dead, reap the init and close its pidfd.

        To be called when the child was reaped. deadline: in seconds of time.monotonic(), None for none.
        Returns whether they are dead by the deadline; if not, it can be called again.
        """
        if self._pidfd < 0:
            return True
        self.kill()
        if deadline is None:
            while not pidfd.wait_readable(self._pidfd, _LOOK_SECONDS):
                self._reap_left()
        elif not pidfd.wait_readable(self._pidfd, seconds_until(deadline)):
            return False
        self._reap()
        return True

    def _reap_left(self) -> None:
        """Those that its child has made as children of this process: CLONE_PARENT."""
        own = _namespace_of(self.pid)
        for child in procfs.children(os.getpid()):
            if own and child != self.pid and _namespace_of(child) == own:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child, os.WNOHANG | WALL)

    def leave(self) -> None:
        """Kill them all; the init is reaped when they are dead, and this does not wait for that."""
        self.kill()
        self.leave_to_end()

    def leave_to_end(self) -> None:
        """Have the init reaped when it has ended by itself."""
        descriptor, self._pidfd = self._pidfd, -1
        if descriptor >= 0:
            leave_to_be_reaped(self.pid, descriptor)

    def _reap(self) -> None:
        descriptor, self._pidfd = self._pidfd, -1
        # There is no such child where SIGCHLD is ignored, or a wait for any child was quicker.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG | WALL)
        os.close(descriptor)


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
