"""Orphans: processes whose parent ended, and whom this process adopts when it is a subreaper."""

import os
import time
from typing import Self

from ..._kernel import procfs
from .walk import Walk

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37

# Open blocks. Clone calls are noted in each, so that a child is told from an orphan.
blocks: "list[Subreaper]" = []


class Subreaper:
    """Inside the block this process adopts orphans of its descendants: prctl(PR_SET_CHILD_SUBREAPER).

    Otherwise a process that is orphaned (a daemon, after its double fork) becomes a child of init,
    and nothing tells any more from whom it came. The setting is of the whole process, and so such
    a block is opened by whoever owns the process, not by a library. Leaving it restores what was
    set before; it kills nobody.

    The kernel does not keep from which child an orphan came. Given to ``Child.kill_tree()`` it
    makes that take all orphans, from whichever tree; ``kill()`` does the same without a child.
    A child of this process counts as an orphan unless it was there before, was made through Ramet,
    was made by a thread other than the main one, or was spared by ``spare()``: what the main
    thread makes otherwise (subprocess, os.fork, multiprocessing) has to be spared, and must not be
    in the making during a kill.

    Orphans that end are zombies until kill() or kill_tree() reaps them, or somebody waits for any
    child.
    Needs: Linux 3.4.
    Source: PR_SET_CHILD_SUBREAPER(2const).
    """

    def __init__(self) -> None:
        self._ours: set[tuple[int, str]] = set()
        self._before = False

    def __enter__(self) -> Self:
        if not procfs.is_ours():
            raise RuntimeError("/proc is missing, or of another pid namespace")
        for pid in procfs.children(os.getpid()):
            self.spare(pid)
        blocks.append(self)
        self._before = is_subreaper()
        set_subreaper(True)
        return self

    def __exit__(self, *_: object) -> None:
        set_subreaper(self._before)
        blocks.remove(self)

    def spare(self, pid: int) -> None:
        """Take this child for no orphan."""
        self._ours.add((pid, procfs.start(pid)))

    def pids(self) -> list[int]:
        """The orphans that this process has adopted since the block began, the dead included."""
        # The kernel gives them to the first thread that lives, which is the main one.
        children = procfs.children_of_thread(os.getpid(), os.getpid())
        return [pid for pid in children if (pid, procfs.start(pid)) not in self._ours]

    def kill(self, timeout: float | None = None) -> bool:
        """Kill all orphans and their trees as Child.kill_tree() does, and reap them.

        timeout: in seconds, None for ever. Returns whether all are dead when the time is up.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        return Walk(self.pids).end(deadline)


def note(pid: int) -> None:
    """A child has been born."""
    for block in blocks:
        block.spare(pid)


def is_subreaper() -> bool:
    """Whether this process adopts orphans: prctl(PR_GET_CHILD_SUBREAPER)."""
    import ctypes

    answer = ctypes.c_int()
    _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer))
    return bool(answer.value)


def set_subreaper(on: bool) -> None:
    """Let this process adopt orphans from now on, or not: prctl(PR_SET_CHILD_SUBREAPER).

    It is kept over an exec and not inherited by children. A child that sets it before its exec
    keeps its tree together as long as it lives.
    """
    import ctypes

    _prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(on))


def _prctl(option: int, argument: object) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, argument, *[ctypes.c_ulong(0)] * 3) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
