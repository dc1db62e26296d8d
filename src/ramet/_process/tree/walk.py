"""A tree of processes, stopped one by one until nobody is left who could fork, and killed then."""

import contextlib
import errno
import functools
import os
import signal
import time
from collections.abc import Callable

from ..._kernel import pidfd, procfs

_QUIET = frozenset("TtZXx")
_WALL = 0x40000000
_REQUEST = (signal.SIGTERM, signal.SIGCONT)  # one that is stopped could not see it
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.0001, 0.01
_LONGEST_STOP_SECONDS = 5.0
_LONGEST_SLEEP_SECONDS = 0.05


class _Member:
    """A process of the tree."""

    def __init__(
        self,
        pid: int,
        pidfd: int,
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

    def stop(self) -> None:
        if self.stops:
            self._try(lambda: pidfd.send(self.pidfd, self.pid, signal.SIGSTOP))

    def end(self) -> None:
        self._try(self.kill)

    def ask(self) -> None:
        for number in _REQUEST:
            self._try(functools.partial(pidfd.send, self.pidfd, self.pid, number))
        self.refuses = False

    def is_quiet(self) -> bool:
        """Whether none of its threads can be in the midst of a fork."""
        return self.refuses or not self.stops or procfs.states(self.pid) <= _QUIET

    def reap(self) -> None:
        """Reap it if it has become our child: nobody else knows of it."""
        if self.reaps:
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | _WALL)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except ProcessLookupError:
            pass
        except PermissionError:
            self.refuses = True


class Walk:
    """Finds, stops, kills and reaps a tree, and the orphans that this process has adopted."""

    def __init__(self, orphans: Callable[[], list[int]] | None) -> None:
        """orphans: tells their pids; None leaves them alone."""
        self._orphans = orphans
        self._members: dict[int, _Member] = {}
        self._looks = orphans is not None

    def add_root(self, pid: int, descriptor: int, kill: Callable[[], None], *, stops: bool) -> None:
        """The child whose tree it is; its handle kills and reaps it. The descriptor is ours now."""
        self._members[pid] = _Member(pid, descriptor, kill, stops=stops, reaps=False)
        self._looks = True

    def add_dying(self, pid: int, descriptor: int) -> None:
        """One that has been killed, and its tree with it. The descriptor is ours now."""
        self._members[pid] = _Member(pid, descriptor, lambda: None, stops=False, reaps=False)

    def ask(self, group: int | None) -> None:
        """SIGTERM to all that are in the tree now; group: a process group that is asked as a whole.

        Nobody is asked twice, which many take for more than a request. All are found first: whoever
        has ended is no longer anybody's parent.
        """
        if procfs.is_ours():
            while self._find_more():
                pass
        others = [m for m in self._members.values() if group is None or _group_of(m.pid) != group]
        if group is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                for number in _REQUEST:
                    os.killpg(group, number)
        for member in others:
            member.ask()

    def wait(self, deadline: float | None) -> bool:
        """Wait until all that were found are dead: whether they are by the deadline."""
        return self._wait(deadline)

    def forget_dead(self) -> None:
        """Who has died after having been asked is nobody's parent, and its pid may be another's."""
        for pid, member in list(self._members.items()):
            if pidfd.wait_readable(member.pidfd, 0.0):
                member.reap()
                os.close(member.pidfd)
                del self._members[pid]

    def close(self) -> None:
        """Leave all as they are."""
        for member in self._members.values():
            os.close(member.pidfd)
        self._members.clear()

    def end(self, deadline: float | None) -> bool:
        """Stop all, kill all, and wait until all are dead: whether they are by the deadline.

        Raises PermissionError when some may not be killed, and RuntimeError when nobody could be
        found for want of a /proc; whoever is known and may be killed is dead by then.
        """
        can_look = procfs.is_ours()
        try:
            try:
                if self._looks and can_look:
                    self._stop_all()
            finally:
                for member in self._members.values():
                    member.end()
            dead = self._wait(deadline)
            refusing = [member.pid for member in self._members.values() if member.refuses]
        finally:
            self.close()
        if self._looks and not can_look:
            raise RuntimeError("/proc is missing, or of another pid namespace: only the child died")
        if refusing:
            raise PermissionError(errno.EPERM, f"not permitted to kill {refusing}")
        return dead

    def _stop_all(self) -> None:
        """Until a look at all of them, while they are stopped, finds nobody new."""
        while True:
            self._stop_known()
            if not self._find_more():
                return

    def _stop_known(self) -> None:
        """A stop takes effect soon, but not at once: a fork that has begun is completed before it.

        The parent of a vfork sleeps where no signal but SIGKILL wakes it, for as long as its child
        is stopped. It has forked already; so has, in all likelihood, any other who sleeps for long.
        """
        begun = awake = time.monotonic()
        pause = _FIRST_PAUSE_SECONDS
        while loud := [member for member in self._members.values() if not member.is_quiet()]:
            now = time.monotonic()
            if not all(_sleeps(member) for member in loud):
                awake = now
            if now - begun > _LONGEST_STOP_SECONDS or now - awake > _LONGEST_SLEEP_SECONDS:
                return
            for member in loud:
                member.stop()
            time.sleep(pause)  # there is no event: the stop of another's child is not told to us
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _find_more(self) -> bool:
        found = [(child, pid) for pid in self._members for child in procfs.children(pid)]
        if self._orphans is not None:
            found += [(orphan, os.getpid()) for orphan in self._orphans()]
        taken = [self._take(pid, parent) for pid, parent in found if pid not in self._members]
        return any(taken)

    def _take(self, pid: int, parent: int) -> bool:
        """Open it, and see that it is still the one that was meant."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        if procfs.parent(pid) != parent:
            os.close(descriptor)
            return False
        self._members[pid] = _Member(
            pid, descriptor, lambda: pidfd.send(descriptor, pid, signal.SIGKILL)
        )
        return True

    def _wait(self, deadline: float | None) -> bool:
        """Wait for all of them, and then reap those that have become ours."""
        members = [member for member in self._members.values() if not member.refuses]
        dying = {member.pidfd for member in members}
        while dying:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            dead = pidfd.wait_any(dying, left)
            if not dead:
                break
            dying.difference_update(dead)
        for member in members:
            member.reap()
        return not dying


def _sleeps(member: _Member) -> bool:
    """Whether it waits in the kernel where no signal wakes it."""
    return procfs.states(member.pid) <= _QUIET | {"D"}


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
