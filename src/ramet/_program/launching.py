"""A request for programs, worked out once, and the clone calls by it."""

import functools
from operator import index
from typing import NamedTuple, TypeAlias

from .. import _core
from .._core import Plan
from .._kernel.clone_args import CloneArgs, asked_of
from .._kernel.clone_bits import CLEAR_SIGHAND, HANDLERS, PIDFD
from .._preflight.quick_check import check, refusal
from .._process.clone_call import call_name, can_have_pidfd, is_by_clone
from .._process.tree import subreaper

Report: TypeAlias = tuple[int, int]  # the failed step or -1, and its errno


class Prepared:
    """A request for programs, packed once and put to the kernel many times."""

    def __init__(self, args: CloneArgs, legacy: bool, wanted: int, asked: int) -> None:
        self.args = args
        self.wanted = wanted
        self.asked = asked
        self.block = args.block()
        self.packed = self.block.packed
        self.legacy = legacy
        self.flags = index(args.flags)
        self.exit_signal = args.exit_signal
        self._by_clone: Prepared | None = None

    def as_it_can_be(self) -> "Prepared":
        """The same by clone() where clone3 has been hidden since, as a filter can do at any time.

        Raises CloneError ENOSYS for what only clone3 can do.
        """
        if self.legacy or _core.has_clone3():
            return self
        if self._by_clone is None:
            args = CloneArgs(self.wanted, exit_signal=self.exit_signal)
            args.set_tid, args.cgroup = self.args.set_tid, self.args.cgroup
            self._by_clone = prepared(args, self.asked)
        return self._by_clone

    def refusal(self, error: OSError) -> OSError:
        """What the kernel's errno means."""
        name = call_name(self.legacy)
        fields = asked_of(self.args, self.block, name)
        return refusal(error, self.flags, self.exit_signal, name, self.asked, **fields)


def prepared(args: CloneArgs, asked: int) -> Prepared:
    """Check a request with VM|VFORK and pack it; what the law knows to be wrong is refused here.

    asked: the flags as the caller has said them, for an error.
    Where the kernel can, it clears the handlers of the child: they are of no use to a program, and
    would run on our memory.
    """
    flags = wanted = index(args.flags)
    legacy = is_by_clone(args)
    if not legacy and not flags & HANDLERS and _core.has_clear_sighand():
        flags |= CLEAR_SIGHAND
    if can_have_pidfd(flags, legacy):
        flags |= PIDFD
    args.flags = flags
    check(flags, args.exit_signal, call_name(legacy), asked)
    return Prepared(args, legacy, wanted, asked)


def plainly_prepared(flags: int, exit_signal: int, asked: int) -> Prepared:
    """The same for a request that has nothing else: most are alike, so they are kept."""
    return _plainly_prepared(
        flags, exit_signal, asked, _core.has_clone3(), _core.has_clear_sighand()
    )


@functools.lru_cache(maxsize=64)
def _plainly_prepared(flags: int, exit_signal: int, asked: int, *_depends_on: bool) -> Prepared:
    return prepared(CloneArgs(flags, exit_signal=exit_signal), asked)


def launch(request: Prepared, plan: Plan, child: _core.Handle) -> tuple[int, int] | None:
    """Make a task that carries out a plan, and let the handle stand for it.

    Returns None, or the step that failed and its errno.
    Needs: what the flags need.
    Source: clone(2), execve(2).
    """
    request = request.as_it_can_be()
    try:
        failed = _core.spawn(request.packed, request.legacy, plan, child)
    except OSError as error:
        raise request.refusal(error) from None
    if subreaper.blocks:
        subreaper.note(child.pid)
    return failed


def launch_aside(
    request: Prepared, plan: Plan, has_own_score: bool, child: _core.Handle, patience: float
) -> "tuple[int, int] | Underway | None":
    """The same, but the caller goes on where it takes longer than patience: then its way is told.

    has_own_score: whether the plan sets oom_score_adj. patience: in seconds.
    """
    request = request.as_it_can_be()
    packed, legacy = request.packed, request.legacy
    try:
        begun = _core.spawn_aside(packed, legacy, plan, has_own_score, child, patience)
    except OSError as error:
        raise request.refusal(error) from None
    if subreaper.blocks:
        subreaper.note(child.pid)
    return Underway(begun, is_late=True) if isinstance(begun, _core.Underway) else begun


class Manner(NamedTuple):
    """What else there is to know of a launch whose maker goes on; see native/parent/launch_beside.h."""

    waits: bool  # at a gate
    follows_process: bool  # a parent-death signal comes with the end of the process
    has_own_score: bool  # its plan sets oom_score_adj
    pid_namespace: int  # a descriptor of the one to be born in, or -1


def set_out(request: Prepared, plan: Plan, manner: Manner, child: _core.Handle) -> "Underway":
    """The same, and the caller goes on at once. A failed step says why there is no child.

    Source: clone(2), setns(2).
    """
    request = request.as_it_can_be()
    try:
        begun = _core.Underway(request.packed, request.legacy, plan, child, *manner)
    except OSError as error:
        raise request.refusal(error) from None
    if subreaper.blocks:
        subreaper.note(child.pid)
    return Underway(begun)


LAUNCHED = (1 << 31) - 1  # the number of no gate: what comes after the last


class Underway:
    """A child on its way to its program, while its maker goes on.

    ``is_late``: whether the caller had the patience to wait for it, and waited in vain.
    """

    def __init__(self, begun: _core.Underway, *, is_late: bool = False) -> None:
        self._core = begun
        self.is_late = is_late

    def reach(self, gate: int) -> Report:
        """Wait until the child is at that gate, its program runs, or it has failed on the way."""
        report = self.reach_within(gate, None)
        assert report is not None
        return report

    def reach_within(self, gate: int, timeout: float | None) -> Report | None:
        """The same, but None when the time is up; timeout in seconds, None for ever."""
        return self._core.reach(gate, timeout)

    def cancel(self) -> None:
        """Kill it, if it is on its way still."""
        self._core.cancel()

    def open(self, gate: int) -> None:
        """Let it pass that gate."""
        self._core.open(gate)

    def stop(self) -> None:
        """Stop it where it is, at a gate."""
        self._core.stop()
