"""The cgroup in which a child is made, and what can be done if nothing but its tree is in it."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from typing import Self

from ..._kernel import pidfd
from ..._kernel.oom_kills import OomKills
from ..._kernel.timeouts import milliseconds_until
from ...exit_status import ExitStatus

_NOT_POPULATED = b"populated 0"


class OwnCgroup:
    """A cgroup v2 directory in which no process was before the child was made."""

    def __init__(self, path: str, device: int, inode: int) -> None:
        self.path = path
        self.device = device
        self.inode = inode

    @classmethod
    def before_clone(cls, descriptor: int) -> Self | None:
        """For the cgroup behind a descriptor of its directory; None when a process is in it.

        Source: Documentation/admin-guide/cgroup-v2.rst, cgroup.events.
        """
        try:
            if not _is_empty_at(descriptor):
                return None
            found = os.stat(descriptor)
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            return None
        return cls(path, found.st_dev, found.st_ino)

    def kill(self) -> bool:
        """Kill all processes in it and below. Returns whether that was possible.

        The kernel does it at once since Linux 5.14. Before, each is killed.
        Needs: permission to write to it, or before 5.14 to kill each of them.
        Source: Documentation/admin-guide/cgroup-v2.rst, cgroup.kill.
        """
        if not self._is_there() or self._holds_us():
            return False
        try:
            file = os.open(f"{self.path}/cgroup.kill", os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return self._kill_each()
        except OSError:
            return False
        try:
            os.write(file, b"1")
        except OSError:
            return False
        finally:
            os.close(file)
        return True

    def _kill_each(self) -> bool:
        """A process that is to die makes no further one, so the last round finds all that there are."""
        killed: set[int] = set()
        try:
            while found := set(self._pids()) - killed:
                for pid in found:
                    self._kill_one(pid)
                killed |= found
        except OSError:  # one that another user runs, or no descriptor is left
            return False
        return True

    def _kill_one(self, pid: int) -> None:
        """By a pidfd, while it is here: the pid may have become another process's since it was read."""
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                if pid in self._pids():
                    pidfd.send(descriptor, pid, signal.SIGKILL)
            finally:
                os.close(descriptor)

    def _pids(self) -> Iterator[int]:
        for folder, _, _ in os.walk(self.path):
            yield from _pids_in(folder)

    def wait_until_empty(self, deadline: float | None) -> bool:
        """Wait until all are dead. Returns whether they are by the deadline."""
        try:
            events = os.open(f"{self.path}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # removed, which needs that no process is in it
            return True
        try:
            return _wait_until_empty(events, deadline)
        finally:
            os.close(events)

    def _is_there(self) -> bool:
        """Whether the path still leads to the same directory."""
        try:
            found = os.stat(self.path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (self.device, self.inode)

    def _holds_us(self) -> bool:
        """Whether this process was moved into it meanwhile."""
        return os.getpid() in self._pids()


class InitialCgroup:
    """The cgroup as the child's own, if no process was in it, and its count of out-of-memory kills."""

    def __init__(self, own: OwnCgroup | None, oom_kills: OomKills | None) -> None:
        self.own = own
        self._oom_kills = oom_kills

    @classmethod
    def before_clone(cls, directory: int) -> Self:
        """For the cgroup behind a descriptor of its directory."""
        return cls(OwnCgroup.before_clone(directory), OomKills.before_clone(directory))

    def has_killed(self, status: ExitStatus) -> bool:
        """Whether the child, which ended so, may have been killed for want of memory: by the count."""
        is_killed = status.signal == signal.SIGKILL
        return is_killed and self._oom_kills is not None and self._oom_kills.has_increased()


def _pids_in(folder: str) -> list[int]:
    try:
        with open(f"{folder}/cgroup.procs", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _is_empty_at(directory: int) -> bool:
    events = os.open("cgroup.events", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return _NOT_POPULATED in os.read(events, 4096)
    finally:
        os.close(events)


def _wait_until_empty(events: int, deadline: float | None) -> bool:
    poll = select.poll()
    poll.register(events, select.POLLPRI)
    while True:
        try:
            if _NOT_POPULATED in os.pread(events, 4096, 0):
                return True
        except OSError:  # ENODEV: removed
            return True
        if not poll.poll(milliseconds_until(deadline)):
            return False
