"""The handle of one process, to be used as multiprocessing's own."""

import errno
import os
import sys
import threading
from contextlib import suppress
from multiprocessing import popen_fork
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, NamedTuple

from .._core import Held, waitid
from .._kernel import pidfd
from .._kernel.names import WALL
from .._workers.crossing.messages import receive
from .._workers.crossing.outcome import Reader
from ..exit_status import from_waitid
from .in_process import received_descriptor
from .private_parts import util

if TYPE_CHECKING:
    from .clone_context import CloneContext

# Of a process that somebody else has reaped, where its pidfd does not tell (before Linux 6.15);
# forkserver's for one that it knows nothing of.
_UNKNOWN = 255
_HIDDEN = {errno.ENOSYS, errno.EPERM}


class Passed(NamedTuple):
    """A descriptor that goes with the process, by its place: multiprocessing's DupFd."""

    place: int

    def detach(self) -> int:
        """In the process: the descriptor's number there."""
        return received_descriptor(self.place)


class Popen(popen_fork.Popen):
    """A clone of the context's template. The sentinel is its pidfd, until close()."""

    method = "ramet"
    DupFd = Passed

    def __init__(self, process: BaseProcess, context: "CloneContext") -> None:
        self.descriptors: list[int] = []
        self._context = context
        self._maker = os.getpid()
        self._reaping = threading.Lock()
        self._kept: tuple[int, ...] = ()
        super().__init__(process)

    def duplicate_for_child(self, fd: int) -> int:
        """Called for each descriptor in what is pickled."""
        self.descriptors.append(fd)
        return len(self.descriptors) - 1

    def open_parent(self) -> int:
        """What becomes readable in the process when this one ends; the caller closes it.

        Where a filter hides pidfd_open(2) it is a pipe, whose other end this one keeps, as forkserver does.
        """
        try:
            return os.pidfd_open(os.getpid())
        except OSError as error:
            if error.errno not in _HIDDEN:
                raise
        sentinel, kept = os.pipe()
        self._kept = (kept,)
        return sentinel

    def _launch(self, process: BaseProcess) -> None:
        self._name = process.name
        try:
            self.pid, self.sentinel, self._channel = self._context._clone(process, self)
        except BaseException:
            util.close_fds(*self._kept)
            raise
        self.finalizer = util.Finalize(self, util.close_fds, (self.sentinel, *self._kept))

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """The exit code, negative for a signal; None while it runs, with WNOHANG."""
        if self.returncode is None and self._maker == os.getpid():
            timeout = 0.0 if flag == os.WNOHANG else None
            if pidfd.wait_readable(self.sentinel, timeout):
                with Held(self._reaping) as take:
                    take()
                    if self.returncode is None:
                        self.returncode = self._reap()
        return self.returncode

    def _reap(self) -> int:
        try:
            ended = waitid(os.P_PIDFD, self.sentinel, os.WEXITED | WALL)
        except ChildProcessError:
            status = pidfd.exit_status(self.sentinel)
        else:
            assert ended is not None
            status = from_waitid(*ended[1:])
        self._tell_why_it_did_not_begin()
        return _UNKNOWN if status.returncode is None else status.returncode

    def _tell_why_it_did_not_begin(self) -> None:
        """On standard error, as a process tells itself what it raised; one that begins sends no outcome."""
        with suppress(TimeoutError, OSError):
            message = receive(self._channel, 0.0)
            if message is not None:
                reader = Reader(trusted=False, in_any_pid_namespace=False)
                _, error = reader.read(message, self.pid, self.sentinel)
                print(f"Process {self._name}: {error}", file=sys.stderr)
        self._channel.close()

    def _send_signal(self, sig: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                pidfd.send(self.sentinel, self.pid, sig)
