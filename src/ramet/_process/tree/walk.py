"""A tree of processes: stopped one by one until none can fork any more, then killed."""

import contextlib
import errno
import functools
import os
import resource
import signal
import time
from collections.abc import Callable

from ..._kernel import pidfd, procfs
from ..._kernel.names import WALL
from ..._kernel.timeouts import pauses, seconds_until

_QUIET = frozenset("TtZXx")
_REQUEST = (signal.SIGTERM, signal.SIGCONT)  # a stopped process handles it only when continued
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.0001, 0.01
_LONGEST_STOP_SECONDS = 5.0
_LONGEST_SLEEP_SECONDS = 0.05
_NO_ROOM, _HIDDEN = {errno.EMFILE, errno.ENFILE}, {errno.ENOSYS, errno.EPERM}
_WITHOUT_PIDFD = _NO_ROOM | _HIDDEN
_RESERVE = 16  # descriptors that are left for files of /proc, and for other threads


class _Member:
    """A process of the tree.

    pidfd: None where the table of descriptors has no room, or a filter hides pidfd_open(2). Then the pid
    stands for it: nobody reaps it meanwhile, as its parent is stopped, or is this process.
    """

    def __init__(
        self,
        pid: int,
        pidfd: int | None,
        kill: Callable[[], None],
        *,
        stops: bool = True,
        reaps: bool = True,
    ) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.kill = kill
        self.stops = stops
        self.reaps = reaps
        self.refuses = False
        self._began = procfs.start_time(pid) if pidfd is None else ""

    def stop(self) -> None:
        if self.stops:
            self._try(lambda: self.send(signal.SIGSTOP))

    def send(self, number: int) -> None:
        if self.pidfd is not None:
            pidfd.send(self.pidfd, self.pid, number)
        elif self._is_gone():  # one that was asked to end, and was not stopped
            raise ProcessLookupError
        else:
            os.kill(self.pid, number)

    def end(self) -> None:
        self._try(self.kill)

    def ask(self) -> None:
        for number in _REQUEST:
            self._try(functools.partial(self.send, number))
        self.refuses = False

    def is_quiet(self) -> bool:
        """Whether none of its threads can be in a fork."""
        return self.refuses or not self.stops or procfs.states(self.pid) <= _QUIET

    def is_dead(self) -> bool:
        if self.pidfd is not None:
            return pidfd.wait_readable(self.pidfd, 0.0)
        return self._is_gone() or procfs.state(self.pid) in {"Z", "X"}

    def _is_gone(self) -> bool:
        return procfs.start_time(self.pid) != self._began

    def reap(self) -> None:
        """Reap it if it was reparented to this process: no handle of a Child does."""
        if not self.reaps or (self.pidfd is None and self._is_gone()):
            return
        which = (os.P_PID, self.pid) if self.pidfd is None else (os.P_PIDFD, self.pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitid(*which, os.WEXITED | os.WNOHANG | WALL)

    def close(self) -> None:
        if self.pidfd is not None:
            os.close(self.pidfd)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except ProcessLookupError:
            pass
        except PermissionError:
            self.refuses = True


class Walk:
    """Finds, stops, kills and reaps a tree, and orphaned processes that were reparented to this one."""

    def __init__(self, orphans: Callable[[], list[int]] | None) -> None:
        """orphans: returns their pids; None leaves them running."""
        self._orphans = orphans
        self._members: dict[int, _Member] = {}
        self._looks = orphans is not None

    def add_root(self, pid: int, descriptor: int, kill: Callable[[], None], *, stops: bool) -> None:
        """Add the child whose tree it is, which its handle kills and reaps. Takes over the descriptor."""
        self._members[pid] = _Member(pid, descriptor, kill, stops=stops, reaps=False)
        self._looks = True

    def add_dying(self, pid: int, descriptor: int) -> None:
        """Add a child that was killed, and its tree with it. Takes over the descriptor."""
        self._members[pid] = _Member(pid, descriptor, lambda: None, stops=False, reaps=False)

    def ask(self, group: int | None) -> None:
        """Send SIGTERM to all that are in the tree now; group: a process group signalled as a whole.

        No process gets it twice, since many take a second one as an order to quit at once. All are
        found first: the children of one that has ended have another parent.
        """
        if procfs.shows_own_pids():
            while self._find_more():
                pass
        others = [m for m in self._members.values() if group is None or _group_of(m.pid) != group]
        if group is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                for number in _REQUEST:
                    os.killpg(group, number)
        for member in others:
            member.ask()

    def pidfds(self) -> list[int]:
        """Of those that were found and that have one."""
        return [member.pidfd for member in self._members.values() if member.pidfd is not None]

    def wait(self, deadline: float | None) -> bool:
        """Wait until all that were found are dead. Returns whether they are by the deadline."""
        return self._wait(deadline)

    def forget_dead(self) -> None:
        """Remove those that died since ask(): they have no children, and their pids may be reused."""
        for pid, member in list(self._members.items()):
            if member.is_dead():
                member.reap()
                member.close()
                del self._members[pid]

    def close(self) -> None:
        """Close the descriptors; leave all processes as they are."""
        for member in self._members.values():
            member.close()
        self._members.clear()

    def end(self, deadline: float | None) -> bool:
        """Stop all, kill all, and wait until all are dead. Returns whether they are by the deadline.

        Raises PermissionError when some may not be killed, and RuntimeError when there is no /proc to
        find the tree in; all known ones that may be killed are dead then. OSError when there is no
        descriptor or memory to look with; all known ones were killed.
        """
        can_look = procfs.shows_own_pids()
        try:
            try:
                if self._looks and can_look:
                    self._stop_all()
            finally:
                # First those without a descriptor, whose parents are stopped as yet.
                for member in sorted(self._members.values(), key=lambda one: one.pidfd is not None):
                    member.end()
            dead = self._wait(deadline)
            refusing = self._refusing()
        finally:
            self.close()
        if self._looks and not can_look:
            raise RuntimeError(
                "no /proc of this pid namespace is mounted to find the tree in: only the child was killed"
            )
        if refusing:
            raise PermissionError(errno.EPERM, f"not permitted to kill {refusing}")
        return dead

    def _refusing(self) -> list[int]:
        return [member.pid for member in self._members.values() if member.refuses]

    def _stop_all(self) -> None:
        """Stop known ones and look for new ones until there is no new one while all are stopped."""
        while True:
            self._stop_known()
            if not self._find_more():
                return

    def _stop_known(self) -> None:
        """Stop them and wait: a stop takes effect a little later, after a fork that has begun.

        The parent of a vfork sleeps, and no signal but SIGKILL wakes it, as long as its child is
        stopped. It has forked already; so has, very likely, any other process that sleeps for long.
        """
        begun = awake = time.monotonic()
        for pause in pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS):
            running = [member for member in self._members.values() if not member.is_quiet()]
            now = time.monotonic()
            if not all(_sleeps(member) for member in running):
                awake = now
            if not running or now - begun > _LONGEST_STOP_SECONDS:
                return
            if now - awake > _LONGEST_SLEEP_SECONDS:
                return
            for member in running:
                member.stop()
            time.sleep(pause)  # no event: the kernel reports a stop to the parent only

    def _find_more(self) -> bool:
        found = [
            (child, pid) for pid in self._members for child in procfs.children_for_certain(pid)
        ]
        if self._orphans is not None:
            found += [(orphan, os.getpid()) for orphan in self._orphans()]
        taken = [self._take(pid, parent) for pid, parent in found if pid not in self._members]
        return any(taken)

    def _take(self, pid: int, parent: int) -> bool:
        """Open its pidfd, and check that the pid is still that of the same process."""
        try:
            descriptor = _opened(pid)
        except ProcessLookupError:
            return False
        member = _Member(pid, descriptor, lambda: member.send(signal.SIGKILL))
        is_its = False
        try:
            words = procfs.stat_for_certain(pid)
            is_its = bool(words) and int(words[procfs.PPID]) == parent
        finally:
            if not is_its:
                member.close()
        if is_its:
            self._members[pid] = member
        return is_its

    def _wait(self, deadline: float | None) -> bool:
        """Wait for all of them, and then reap those that were reparented to this process."""
        members = [member for member in self._members.values() if not member.refuses]
        dying = {member.pidfd for member in members if member.pidfd is not None}
        while dying:
            dead = pidfd.wait_any(dying, seconds_until(deadline))
            if not dead:
                break
            dying.difference_update(dead)
        are_dead = not dying and _wait_without_pidfds(members, deadline)
        for member in members:
            member.reap()
        return are_dead


def _wait_without_pidfds(members: list[_Member], deadline: float | None) -> bool:
    """Of those that have none; no event tells of their end."""
    for pause in pauses():
        if all(member.pidfd is not None or member.is_dead() for member in members):
            return True
        if seconds_until(deadline) == 0:
            return False
        time.sleep(pause)
    return False


def _opened(pid: int) -> int | None:
    """A pidfd, None where none can be had. ProcessLookupError when the process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        if error.errno in _WITHOUT_PIDFD:
            return None
        raise
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or descriptor + _RESERVE < most:
        return descriptor
    os.close(descriptor)
    return None


def _sleeps(member: _Member) -> bool:
    """Whether all its threads are stopped or in uninterruptible sleep."""
    return procfs.states(member.pid) <= _QUIET | {"D"}


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
