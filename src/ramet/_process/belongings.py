"""What belongs to one child and ends with it, and in which order.

When it has ended (``Child._conclude()``):

1. It is reaped: nothing else tells how it ended.
2. What may have killed it is asked for the reason; who knows a more precise one comes later. First the
   deadline thread, which may be about to send its signal; the budget of a template's call; its cgroup; and
   what watches a confined one, which stops and closes what it has.
3. The status is kept. From here on every wait returns it, and none comes to the steps below.
4. Its pidfd is closed, of which another thread may have asked the status until then.
5. The descriptors are closed that it had in common with its caller.
6. All in its pid namespace are killed and awaited. A signal handler may raise meanwhile, so there is little
   left to do by then: the namespace is left, and reaped when it has ended.
7. What watches it is told that all is gone, since it may make the next child then.

The core waits for a plain child, of which a code says all. It does 1, 3, 4 and most of 6;
``Child._put_in_order()`` does the rest. What watches such a child is told of its end when it is asked.

When nobody will wait for it (``Child._leave_unwaited()``), its namespace is left, and a confined one is
killed and watched no more. Unreaped has the rest until it has ended.
"""

from collections.abc import Callable
from typing import Any, Protocol

from .. import _core
from .._kernel.descriptors import Descriptors
from ..exit_status import ExitStatus
from .tree.own_cgroup import InitialCgroup, OwnCgroup
from .tree.pid_namespace import PidNamespace


class Supervised(Protocol):
    """What watches a confined child: see ramet._sandbox.supervision."""

    @property
    def report(self) -> Any:
        """What it has used, when it has ended."""

    def ended(self, status: ExitStatus) -> ExitStatus:
        """The status with its reason."""

    def ends_later(self, namespace: PidNamespace) -> bool:
        """Whether it ends that, in which nothing is left, once all is gone."""

    def gone(self) -> None:
        """All that it has started is reaped, too."""

    def count_output(self, count: int) -> bool:
        """So many bytes of its output were read; whether it may write more."""

    def give_up(self) -> None:
        """Nobody will wait for it."""


class Belongings:
    """Of one child, as far as it has any, but for its pid namespace, which the core has.

    They are set by who makes the child, and do not refer to it. make_supervision: makes what watches it
    when that is first asked, for a child of which nothing is watched while it runs.
    """

    cgroup: InitialCgroup | None = None
    deadline_thread: _core.DeadlineThread | None = None
    held: Descriptors | None = None
    supervision: Supervised | None = None
    make_supervision: Callable[[], Supervised] | None = None
    use: object = (
        None  # keeps others from what is its own, such as its sandbox's user, until gone()
    )

    @property
    def own_cgroup(self) -> OwnCgroup | None:
        """The cgroup, if nothing but the child's tree is in it."""
        return None if self.cgroup is None else self.cgroup.own

    def supervised(self) -> Supervised | None:
        """What watches it, made if need be."""
        if self.supervision is None and self.make_supervision is not None:
            self.supervision = self.make_supervision()
        return self.supervision

    # ---- in the order of the end

    def is_expired(self) -> bool:
        """Whether the deadline thread has killed it; waits until the thread is through with it."""
        return self.deadline_thread is not None and self.deadline_thread.has_killed()

    def reasoned(self, status: ExitStatus, *, is_killed_by_us: bool) -> ExitStatus:
        """The status with its reason, by what is known besides the deadline.

        is_killed_by_us: through its handle, so that its cgroup need not have killed it.
        """
        if self.cgroup is not None and not is_killed_by_us and self.cgroup.has_killed(status):
            status = status.because("out of memory")
        supervision = self.supervised()
        return status if supervision is None else supervision.ended(status)

    def close(self) -> None:
        """The status is known: nothing needs the descriptors any more."""
        if self.held is not None:
            self.held.close()

    def ends_later(self, namespace: PidNamespace) -> bool:
        """Whether what watches it ends its namespace."""
        return self.supervision is not None and self.supervision.ends_later(namespace)

    def gone(self) -> None:
        """All that it has started is reaped, too."""
        self.use = None
        if self.supervision is not None:
            self.supervision.gone()

    # ---- what is asked of them

    def report(self, status: ExitStatus | None) -> Any:
        """What it has used; status: how it ended, None while that is not known."""
        supervision = self.supervised()
        if supervision is not None and status is not None:
            supervision.ended(status)  # to which a wait by the core has told nothing
        return None if supervision is None else supervision.report

    @property
    def count_output(self) -> Callable[[int], bool] | None:
        """What is to be told how many bytes of its output were read."""
        supervision = self.supervised()
        return None if supervision is None else supervision.count_output


NO_BELONGINGS = Belongings()  # of most children; nothing is added to it
