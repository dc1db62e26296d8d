"""A child that makes namespaces and waits in them until they are kept by descriptors."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from signal import SIGCHLD

from ..._core import Plan, has_close_range, new_child
from ..._kernel import procfs
from ..._kernel.clone_bits import NEWUSER
from ..._kernel.descriptors import Descriptors
from ..._kernel.names import PR_SET_DUMPABLE
from ..._process.blocking import BLOCKING, run_blocking
from ..._process.child import Child, make_child
from ..._process.launching import LAUNCHED, Manner, Report, Underway, Wanted, launch_beside
from ..._setup.descriptor_moves import LAST_DESCRIPTOR
from ..._setup.order import Steps
from ..._setup.step_reasons import likely_reason
from ...errors import SpawnError, spawn_error
from ..identity.marked_memory import tried_again
from ..identity.shared_counts import DIRECTORY

__all__ = ["kept_namespaces"]

_MAPS_GATE, _LAST_GATE = 1, 2
_NO_FAILURE = -1
_AS_IT_IS = -1  # an id, and...
_UNCHANGED = (1 << 64) - 1  # ... a set of capabilities: native/child/plan.h
_MANNER = Manner(waits=True, follows_process=False, has_own_score=False, pid_namespace=-1)


class _Waiting(Child[None]):
    """It waits for nobody when its handle is dropped, as when a handler of a signal has raised."""

    def _tell_forgotten(self) -> None:
        self.kill()


def kept_namespaces(
    flags: int,
    kinds: Sequence[str],
    write_maps: Callable[[int], None],
    add_steps: Callable[[Steps], None],
    keep: Callable[[str], None],
    *,
    user_last: bool = False,
    owner: int | None = None,
    most: Mapping[str, bytes] | None = None,
) -> None:
    """Have a child with these flags carry out steps, and keep the namespaces that it is in.

    keep: gets the path of each kind. write_maps: gets the child's pid, before the steps; user_last: after
    them, for a user namespace that the child makes then, which owns none of the others. owner: the user who
    makes that one, instead of the caller. most: texts for files in /proc/sys/user of a new user namespace.
    The child is a task in this memory and copies nothing of it. Raises CloneError where there may be no
    such child, SpawnError for a step or a map that fails, and where /proc does not have the child by its
    pid. Nothing of the child is left in any case.
    Source: clone(2), namespaces(7), user_namespaces(7).
    """
    procfs.require_own_pids("keep the namespaces")
    steps = Steps()
    if has_close_range():  # the table is shared until now
        steps.add("close_range(UNSHARE)", "OWN_FILES", LAST_DESCRIPTOR, LAST_DESCRIPTOR)
    if flags & NEWUSER:
        steps.add("wait for the id maps", "GATE", _MAPS_GATE, False)
    add_steps(steps)
    if user_last:
        _add_user_namespace(steps, owner)
    held = Descriptors()
    if most:
        _add_most(steps, most, held)
    steps.add("wait until the namespaces are kept", "GATE", _LAST_GATE, False)
    wanted = Wanted(flags, SIGCHLD, None, None, shares_table=has_close_range())
    child = new_child(_Waiting, ["namespaces of a sandbox"], flags, False)
    made: list[Underway] = []

    def make(handle: Child[None]) -> None:
        begun = launch_beside(wanted, Plan(steps.steps), _MANNER, handle, None)
        assert isinstance(begun, Underway)
        made.append(begun)

    try:
        with make_child(child, make):
            _at_gate(made[0], _MAPS_GATE if flags & NEWUSER else _LAST_GATE, steps)
            if flags & NEWUSER:
                write_maps(child.pid)
                made[0].open(_MAPS_GATE)
                _at_gate(made[0], _LAST_GATE, steps)
            if user_last:
                write_maps(child.pid)
            for kind in kinds:
                tried_again(partial(keep, f"/proc/{child.pid}/ns/{kind}"))
    finally:
        child._discard()  # a handler of a signal may have raised before the block that ends it
        for underway in made:  # it has ended: an error that knows it leaves no mark on this memory
            run_blocking(BLOCKING.reach, underway, LAUNCHED)
        held.close()


def _add_user_namespace(steps: Steps, owner: int | None) -> None:
    """Have the task make it; what is counted in it is counted for who has made it, too.

    That user does it with the task's capabilities: some machines let no other make one.
    """
    if owner is not None:
        steps.add("setresuid", "SETUID", _AS_IT_IS, owner, _AS_IT_IS)
        steps.add("capset", "CAPABILITIES", _UNCHANGED, _UNCHANGED, 0)
    steps.add("unshare(NEWUSER)", "UNSHARE", NEWUSER)
    if owner is not None:  # it has marked this memory: see marked_memory
        steps.add("prctl(PR_SET_DUMPABLE)", "PRCTL", PR_SET_DUMPABLE, 1, 0, 0, 0)


def _add_most(steps: Steps, most: Mapping[str, bytes], held: Descriptors) -> None:
    """Have the task write what its user namespace may have: the files are those of who opens them.

    By a descriptor of the caller's, since the task may have another root directory by then.
    """
    directory = held.open(os.open, DIRECTORY, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for name, text in most.items():
        written = directory, os.fsencode(name), text, len(text)
        steps.add(f"write {name}", "WRITE", *written, file=os.fsencode(f"{DIRECTORY}/{name}"))


def _at_gate(underway: Underway, gate: int, steps: Steps) -> None:
    report: Report = run_blocking(BLOCKING.reach, underway, gate)
    if report[0] != _NO_FAILURE:
        raise failed_step(report, steps)


def failed_step(report: Report, steps: Steps) -> SpawnError:
    """The error for the step that a child has reported."""
    step, number = report
    label, file = steps.labels[step] if step >= 0 else ("clone", None)
    return spawn_error(label, number, file and os.fsdecode(file), likely_reason(label, number))
