"""The end of a child and of all that it started."""

import time
from collections.abc import Callable
from typing import NamedTuple

from ..flags import CloneFlag
from .birthplace import Birthplace
from .cgroup import OwnCgroup
from .orphans import Subreaper
from .walk import Walk

__all__ = ["Birthplace", "OwnCgroup", "Root", "Subreaper", "kill"]

_NEWPID = CloneFlag.NEWPID.value


class Root(NamedTuple):
    """The child whose tree is to end; ``pidfd`` is a copy to close, None when it has been reaped."""

    pid: int
    pidfd: int | None
    flags: int
    shares_memory: bool
    own_cgroup: OwnCgroup | None
    kill: Callable[[], None]


def kill(root: Root, timeout: float | None, orphans: Subreaper | None) -> bool:
    """Kill a child and all that it started, by the surest way: Child.kill_tree() says which.

    timeout: in seconds, None for ever. Returns whether all are dead when the time is up.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    walk = Walk(None if orphans is None else orphans.pids)
    cgroup = root.own_cgroup
    by_cgroup = cgroup is not None and cgroup.kill()
    if root.pidfd is not None:
        if by_cgroup or root.flags & _NEWPID:
            root.kill()  # it may have left the cgroup; and the init of a namespace takes all along
            walk.add_dying(root.pid, root.pidfd)
        else:
            walk.add_root(root.pid, root.pidfd, root.kill, stops=not root.shares_memory)
    dead = walk.end(deadline)
    if by_cgroup and cgroup is not None:
        return cgroup.wait_until_empty(deadline) and dead
    return dead
