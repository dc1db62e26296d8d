"""What ends all that a confined program has started, where no pid namespace does."""

import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

from .._core import Held
from .._kernel import procfs
from .._kernel.descriptors import Descriptors
from .._kernel.pidfd import wait_readable
from .._kernel.timeouts import deadline_after, pauses, seconds_until
from .._process.child import Child
from .._process.tree.subreaper import Subreaper
from .._process.tree.walk import Walk
from .._setup.order import Steps
from .amounts.place import Place
from .identity.identity import Identity
from .identity.marks import add_mark, is_of, new_mark
from .planning.plan import Ends
from .planning.questions import as_user, call, of_child

_PATIENCE_SECONDS = 2.0  # until all are dead that were found
_DYING_SECONDS = 0.25  # until all are dead that were killed
_PR_SET_CHILD_SUBREAPER = 36


class Tree:
    """The processes of one confined child.

    A thread waits for the child's end and then kills the rest, so that none goes on while the caller does
    something else: it may read from a pipe that one of them holds open.
    """

    identity: Identity | None = None  # as whom this child alone runs

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._maker = os.getpid()
        self._is_over = False
        self._lock = threading.RLock()  # a signal handler, and a finalizer, may come here as well

    def add_steps(self, steps: Steps) -> None:
        """What the child does for it, with the caller's rights.

        As a subreaper it keeps below it what it has started, as long as it lives: there it is counted.
        """
        label = "prctl(PR_SET_CHILD_SUBREAPER)"
        steps.add(label, "PRCTL", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def begin(self, child: Child[Any]) -> None:
        """The child runs from now on; it has a pidfd."""
        if child.pidfd is None:
            return
        ends = Descriptors()  # which closes them, also where the thread does not start
        ends.open(Child._copied_pidfd, child)  # type: ignore[arg-type] # None when it was waited for
        thread = threading.Thread(
            target=self._end_after, args=(ends,), name="ramet-tree", daemon=True
        )
        thread.start()
        self._thread = thread

    def _end_after(self, ends: Descriptors) -> None:
        for descriptor in ends:
            wait_readable(descriptor, None)
        ends.close()
        self._end_once()

    def give_up(self) -> None:
        """There is no such child."""
        if self._is_first():
            self._release()

    def end(self) -> None:
        """The child has ended: none of the others is left. It waits for a moment at most."""
        if self._maker != os.getpid():  # a copy of the process: its original does it
            return
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE_SECONDS)
        self._end_once()

    def _end_once(self) -> None:
        if self._is_first():
            try:
                self._end_rest()
            finally:
                self._release()

    def _is_first(self) -> bool:
        """Whether its end falls to the caller.

        The lock is not held meanwhile: the thread that keeps amounts may come here with that of the place,
        which the end of a cgroup takes.
        """
        with Held(self._lock) as take:
            take()
            was_over, self._is_over = self._is_over, True
        return not was_over

    def kill(self, child: Child[Any]) -> None:
        """Kill the child, which may have ended, and all others."""
        raise NotImplementedError

    def _end_rest(self) -> None:
        raise NotImplementedError

    def _release(self) -> None:
        """Give back what it has taken of this process."""


class TreeOfUser(Tree):
    """All processes of a user that is nobody else: kill(2) with -1, by a task of that user.

    The kernel finds them all at once, and none can fork meanwhile. The task has no capability, so that it
    may kill no others.
    """

    def __init__(self, identity: Identity) -> None:
        super().__init__()
        self.identity = self._user = identity

    def kill(self, child: Child[Any]) -> None:
        """See Tree."""
        with suppress(ProcessLookupError):
            child.kill()
        self._kill_all()

    def _kill_all(self) -> None:
        steps = as_user(self._user.outer_uid, self._user.outer_gid)
        of_child([*steps, call("kill", -1, int(signal.SIGKILL))])

    def _is_any_left(self) -> bool:
        """One that has ended and is not reaped counts. Source: getpriority(2)."""
        try:
            os.getpriority(os.PRIO_USER, self._user.outer_uid)
        except ProcessLookupError:
            return False
        return True

    def _is_any_dying(self) -> bool:
        """Whether one has not ended yet: who reaps them, such as init, may take its time."""
        if not procfs.shows_own_pids():
            return self._is_any_left()
        pids = filter(str.isdigit, os.listdir("/proc"))
        return any(self._is_own(status) for pid in pids if (status := _status(pid)))

    def _is_own(self, status: dict[str, str]) -> bool:
        user = str(self._user.outer_uid)
        return status["Uid"].split()[0] == user and status["State"][0] not in "ZX"

    def _end_rest(self) -> None:
        if not self._is_any_left():
            return
        self._kill_all()
        deadline = deadline_after(_DYING_SECONDS)
        for pause in pauses():  # no event tells of the end of another's children
            if not self._is_any_dying() or seconds_until(deadline) == 0:
                return
            time.sleep(pause)


def _status(pid: str) -> dict[str, str]:
    try:
        return procfs.status(pid)
    except OSError:  # it has been reaped
        return {}


class TreeOfCgroup(Tree):
    """All processes of the child's cgroups."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    def kill(self, child: Child[Any]) -> None:
        """See Tree."""
        with suppress(ProcessLookupError):
            child.kill()
        self._place.kill()

    def _end_rest(self) -> None:
        self._place.kill()


class TreeOfChild(Tree):
    """The child alone, where nothing finds the others."""

    def add_steps(self, steps: Steps) -> None:
        """Nothing."""

    def begin(self, child: Child[Any]) -> None:
        """Nothing."""

    def kill(self, child: Child[Any]) -> None:
        """See Tree."""
        with suppress(ProcessLookupError):
            child.kill()

    def _end_rest(self) -> None:
        pass


class TreeOfOrphans(Tree):
    """What is below the child, and what was reparented to this process from below it.

    This process is a subreaper meanwhile. Who comes from which child is told by a mark that is inherited:
    one with the mark of this child, or of none that lives, comes from a sandbox that has ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._mark = _living.add()

    def add_steps(self, steps: Steps) -> None:
        """See Tree."""
        super().add_steps(steps)
        add_mark(steps, self._mark)

    def kill(self, child: Child[Any]) -> None:
        """See Tree."""
        descriptor = child._copied_pidfd()
        walk = Walk(self._orphans)
        if descriptor is not None:
            walk.add_root(child.pid, descriptor, child.kill, stops=True)
        _end(walk)

    def _end_rest(self) -> None:
        if self._orphans():
            _end(Walk(self._orphans))

    def _release(self) -> None:
        _living.remove(self._mark)

    def _orphans(self) -> list[int]:
        others = _living.marks - {self._mark}
        return [pid for pid in _living.reparented() if is_of(pid, self._mark, others)]


def _end(walk: Walk) -> None:
    with suppress(OSError, RuntimeError):
        walk.end(deadline_after(_PATIENCE_SECONDS))


class _Living:
    """The marks of children that live; while there is one, this process is a subreaper."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler, and a finalizer, may come here as well
        self._marks: set[int] = set()
        self._block: Subreaper | None = None
        self._maker = os.getpid()

    @property
    def marks(self) -> frozenset[int]:
        """Those of all."""
        return frozenset(self._marks)

    def add(self) -> int:
        """A new mark."""
        if self._maker != os.getpid():
            self._leave_to_original()
        with Held(self._lock) as take:
            take()
            mark = new_mark()
            try:
                self._marks.add(mark)
                self._open()
                return mark
            except BaseException:
                self._marks.discard(mark)
                raise

    def _open(self) -> None:
        if self._block is None:
            block = Subreaper()
            block.__enter__()
            if self._block is None:
                self._block = block
            else:  # a signal handler has begun one meanwhile
                block.__exit__()

    def remove(self, mark: int) -> None:
        """It has ended."""
        if self._maker != os.getpid():
            return
        with Held(self._lock) as take:
            take()
            self._marks.discard(mark)
            if not self._marks and self._block is not None:
                block, self._block = self._block, None
                block.__exit__()
            if self._marks:  # of a signal handler meanwhile
                self._open()

    def reparented(self) -> list[int]:
        """The children of this process that it has not made."""
        block = self._block
        return [] if block is None else block.pids()

    def _leave_to_original(self) -> None:
        """A copy of the process is no subreaper."""
        if self._block is not None:
            self._block._forget()
        self.__init__()  # type: ignore[misc] # it begins anew


_living = _Living()


def tree_of(ends: Ends, identity: Identity | None, place: Place) -> Tree | None:
    """For one child, in the way that the plan says; None where its pid namespace ends with it.

    identity: of this child alone, where that is the way.
    """
    if ends == "pid namespace":
        return None
    if ends == "user":
        assert identity is not None
        return TreeOfUser(identity)
    if ends == "cgroup":
        return TreeOfCgroup(place)
    return TreeOfOrphans() if ends == "subreaper" else TreeOfChild()
