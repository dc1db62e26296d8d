"""The clone calls for programs."""

from typing import NamedTuple, TypeAlias

from .. import _core
from .._core import Plan
from .request import Kind, cached_request
from .tree import subreaper

Report: TypeAlias = tuple[int, int]  # the failed step or -1, and its errno
Underway: TypeAlias = _core.Underway  # a child on its way to its program
Ahead: TypeAlias = _core.Ahead  # a child that waits for its program

# The number of no gate: what comes after the last. native/parent/launch_beside.h
LAUNCHED = (1 << 31) - 1


class Wanted(NamedTuple):
    """The request for a program's child; see request.cached_request()."""

    flags: int
    exit_signal: int
    set_tid: tuple[int, ...] | None
    cgroup: int | None
    shares_table: bool


class Manner(NamedTuple):
    """How a child is launched whose caller goes on; see native/parent/launch_beside.h."""

    waits: bool  # at a gate
    follows_process: bool  # a parent-death signal comes with the end of the process
    has_own_score: bool  # its plan sets oom_score_adj
    pid_namespace: int  # a descriptor of the child's, or -1


def launch(wanted: Wanted, plan: Plan, child: _core.Handle) -> Report | None:
    """Make a task that carries out a plan, its caller suspended; the handle stands for it.

    With launch_beside() a spawn takes 3 % longer, and needs a helper thread for an oom_score_adj.

    Returns None, or the step that failed and its errno.
    Needs: what the flags need.
    Source: clone(2), execve(2).
    """
    request = cached_request("program", *wanted)
    try:
        failed = _core.spawn(child, request.core, plan)
    except OSError as error:
        raise request.refusal(error) from None
    if subreaper.blocks:
        subreaper.note(child.pid)
    return failed


def launch_beside(
    wanted: Wanted, plan: Plan, manner: Manner, child: _core.Handle, patience: float | None
) -> Report | Underway | None:
    """Make a task that carries out a plan, beside its caller; the handle stands for it.

    patience: in seconds, after which the caller goes on with an Underway; None: at once.
    Returns None when it has come to its exec before, or the step that failed and its errno.
    Source: clone(2), setns(2).
    """
    kind: Kind = "program by helper" if manner.has_own_score else "program beside"
    request = cached_request(kind, *wanted)
    try:
        begun = _core.launch_beside(child, request.core, plan, manner, patience)
    except OSError as error:
        raise request.refusal(error) from None
    if subreaper.blocks:
        subreaper.note(child.pid)
    return begun


def launch_ahead(plan: Plan, place: int, nothing: int) -> Ahead | Report:
    """Make a task that carries out a plan, in a new pid namespace, and waits for another plan at its end.

    The task copies the caller's descriptors, and shares nothing else but the memory. place: a descriptor
    that is replaced for a moment, by a socket that the plan waits at, and then by ``nothing``, another one.
    No wait for any child sees the task before its exec.

    Returns the task, or the step that failed and its errno.
    Needs: what the plan needs.
    Source: clone(2), unix(7).
    """
    request = cached_request("program beside", flags=0, exit_signal=0, shares_table=True)
    try:
        made = _core.launch_ahead(request.core, plan, place, nothing)
    except OSError as error:
        raise request.refusal(error) from None
    if subreaper.blocks and isinstance(made, Ahead):
        for pid in made.pids:
            subreaper.note(pid)
    return made
