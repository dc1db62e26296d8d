"""Orphaned processes: the kernel reparents them to this process when it is a subreaper."""

import os
from array import array
from typing import Self

from ... import _core
from ..._kernel import procfs
from ..._kernel.timeouts import deadline_after
from .walk import Walk

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37

# Open blocks. Each learns of every clone call, so that it can tell a child from an orphaned process.
blocks: "list[Subreaper]" = []


class Subreaper:
    """A block in which this process is the subreaper of its descendants: prctl(PR_SET_CHILD_SUBREAPER).

    A descendant that is orphaned (a daemon, after its double fork) becomes a child of this process.
    Otherwise it becomes a child of init, and cannot be traced to the process that it came from. The
    setting holds for the whole process: a main program opens such a block, a library does not. Leaving
    the block restores the setting from before, and kills no process.

    The kernel does not record from which child an orphaned process came. ``Child.kill_tree(orphans=block)``
    kills all of them, from whichever tree; ``kill()`` does so without a child.
    A child of this process counts as orphaned unless it existed before the block, was made by Ramet, was
    made by a thread other than the main one, or was named to ``spare()``. So children that the main thread
    makes by other means (subprocess, os.fork, multiprocessing) must be named to spare(), and must not be
    made during a kill.

    Orphaned processes that end stay zombies until kill() or kill_tree() reaps them, or a wait for any child
    does.
    Needs: Linux 3.4.
    Source: PR_SET_CHILD_SUBREAPER(2const).
    """

    def __init__(self) -> None:
        self._spared: set[tuple[int, str]] = set()
        self._before = False

    def __enter__(self) -> Self:
        if not procfs.shows_own_pids():
            raise RuntimeError(
                "a Subreaper needs /proc: none is mounted, or that of another pid namespace"
            )
        for pid in procfs.children(os.getpid()):
            self.spare(pid)
        blocks.append(self)
        self._before = is_subreaper()
        set_subreaper(True)
        return self

    def __exit__(self, *_: object) -> None:
        place = blocks.index(self)
        del blocks[place]
        if place < len(blocks):  # one that began later still needs it, and restores what was before
            blocks[place]._before = self._before
        else:
            set_subreaper(self._before)

    def _forget(self) -> None:
        """Leave the block in a copy of the process, to which nothing is reparented."""
        if self in blocks:
            blocks.remove(self)

    def spare(self, pid: int) -> None:
        """Do not count this child of the process as orphaned."""
        self._spared.add((pid, procfs.start_time(pid)))

    def pids(self) -> list[int]:
        """The processes reparented to this process since the block began, zombies included."""
        # The kernel makes them children of the first living thread, which is the main one.
        children = procfs.children_of_thread(os.getpid(), os.getpid())
        return [pid for pid in children if (pid, procfs.start_time(pid)) not in self._spared]

    def kill(self, timeout: float | None = None) -> bool:
        """Kill all orphaned processes and their trees as Child.kill_tree() does, and reap them.

        timeout: in seconds, None for ever. Returns whether all died within it.
        """
        return Walk(self.pids).end(deadline_after(timeout))


def note(pid: int) -> None:
    """A child was made: no block counts it as orphaned."""
    for block in blocks:
        block.spare(pid)


def is_subreaper() -> bool:
    """Whether this process is a subreaper: prctl(PR_GET_CHILD_SUBREAPER)."""
    answer = array("i", [0])
    place, _ = answer.buffer_info()
    _prctl(_PR_GET_CHILD_SUBREAPER, place)
    return bool(answer[0])


def set_subreaper(on: bool) -> None:
    """Make this process a subreaper, or no longer one: prctl(PR_SET_CHILD_SUBREAPER).

    The setting survives an exec and is not inherited by children. The tree of a child that sets it before
    its exec stays connected as long as the child lives.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, int(on))


def _prctl(option: int, argument: int) -> None:
    """By the core: the import of ctypes takes 2 to 4 ms."""
    failed, number = _core.do_steps(_core.Plan([("PRCTL", option, argument, 0, 0, 0)]))
    if failed >= 0:
        raise OSError(number, os.strerror(number))
