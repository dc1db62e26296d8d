"""Ending a child and all processes that it started."""

from collections.abc import Callable
from typing import NamedTuple

from ..._kernel.clone_bits import NEWPID
from .own_cgroup import OwnCgroup
from .subreaper import Subreaper
from .walk import Walk


class Root(NamedTuple):
    """The child whose tree is to end; ``pidfd`` is a copy, which End closes; None when it was reaped."""

    pid: int
    pidfd: int | None
    flags: int
    shares_memory: bool
    own_cgroup: OwnCgroup | None
    kill: Callable[[], None]


class End:
    """Kills a child and all processes that it started, which may get SIGTERM first.

    It holds descriptors from ask() on, until kill() or close().
    """

    def __init__(self, root: Root, orphans: Subreaper | None = None) -> None:
        self._root = root
        self._walk = Walk(None if orphans is None else orphans.pids)
        self._is_asked = False

    def ask(self, group: int | None = None) -> None:
        """Send SIGTERM to all that can be found now; group: a process group signalled as a whole."""
        root, self._is_asked = self._root, True
        if root.pidfd is not None:
            self._walk.add_root(root.pid, root.pidfd, root.kill, stops=not root.shares_memory)
        self._walk.ask(group)

    def pidfds(self) -> list[int]:
        """Of those that were asked; each stays open until kill() or close()."""
        return self._walk.pidfds()

    def wait(self, deadline: float | None) -> bool:
        """Wait until all that were asked are dead. Returns whether they are by the deadline."""
        return self._walk.wait(deadline)

    def kill(self, deadline: float | None) -> bool:
        """Kill them all as Child.kill_tree() does. Returns whether they are dead by the deadline.

        deadline: in seconds of time.monotonic(), None for none.
        """
        root, cgroup = self._root, self._root.own_cgroup
        by_cgroup = cgroup is not None and cgroup.kill()
        if self._is_asked:
            self._walk.forget_dead()
        elif root.pidfd is not None:
            if by_cgroup or root.flags & NEWPID:
                root.kill()  # it may have left the cgroup; with the init of a pid namespace all in it die
                self._walk.add_dying(root.pid, root.pidfd)
            else:
                self._walk.add_root(root.pid, root.pidfd, root.kill, stops=not root.shares_memory)
        dead = self._walk.end(deadline)
        if by_cgroup and cgroup is not None:
            return cgroup.wait_until_empty(deadline) and dead
        return dead

    def close(self) -> None:
        """Leave those running that were asked."""
        self._walk.close()
