"""A function whose child sets itself up first, with the options that programs have."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from .. import _core
from .._core import Plan
from .._kernel.clone_bits import FILES, NEWPID, VFORK
from .._kernel.descriptors import Descriptors
from .._process.result_channel import FailedStep
from .._setup.conflicts import refuse_conflicts
from .._setup.descriptor_moves import Moves
from .._setup.joined_namespaces import joined_namespaces
from .._setup.order import Steps
from .._setup.rows import FUNCTION_OPTIONS
from .._setup.step_makers import Setup
from .._setup.step_reasons import reason_among
from .._setup.steps import steps_of
from .._setup.validate import ValidatedOptions, validate
from ..errors import SpawnError, spawn_error

T = TypeVar("T")


def steps_of_function(
    validated: ValidatedOptions, flags: int, joined: Sequence[tuple[str, int, int]] = ()
) -> Steps:
    """What its child does first. joined: the namespaces, see joined_namespaces()."""
    # Unlike a program's, they are what the function was written for.
    own: ValidatedOptions = {"close_fds": False, "restore_signals": False, **validated}
    return steps_of(Setup(validated=own, flags=flags, moves=Moves(own), joined=joined))


class FunctionSetup:
    """What a child does before its function, worked out in the caller.

    for_its_children: it may join a pid namespace, in which only its children will be.
    """

    def __init__(
        self, options: Mapping[str, Any], flags: int, *, for_its_children: bool = False
    ) -> None:
        validated = validate(options, FUNCTION_OPTIONS)
        refuse_conflicts(validated, flags, of_function=True)
        self._validated = validated  # for errors
        self._held = Descriptors()
        joined, pid_namespace = joined_namespaces(validated, self._held)
        if pid_namespace >= 0 and not for_its_children:
            raise ValueError(
                "invalid namespaces['pid'] for a function: a task never joins one, only its children "
                "do; use in_namespace() or a program"
            )
        self._steps = steps_of_function(validated, flags, joined)
        if pid_namespace >= 0:
            self._steps.add("setns(pid)", "SETNS", pid_namespace, NEWPID)
        self._plan = Plan(self._steps.steps)

    def needed_until_end(self, flags: int) -> Descriptors | None:
        """The descriptors that a child needs that shares the table; to call once the child is made.

        None for any other, which has copies of them or is done with them: they are closed.
        """
        if flags & FILES and not flags & VFORK:  # with VFORK it is done when the caller goes on
            return self._held
        self._held.close()
        return None

    @property
    def plan(self) -> Plan:
        """What the child does, for C that carries it out without Python."""
        return self._plan

    @property
    def another_user(self) -> bool:
        """Whether the child gets other rights."""
        return self._plan.changes_identity

    def before(self, fn: Callable[..., T]) -> Callable[..., T]:
        """The function with all this before it. Raises SpawnError for the step that fails."""
        return _Prepared(self, fn)

    def do(self) -> tuple[str, int, str | None] | None:
        """Carry it out in the calling task; the label, errno and file of a step that failed."""
        failed, number = _core.do_steps(self._plan)
        if failed < 0:
            return None
        label, file = self._steps.labels[failed]
        return label, number, None if file is None else os.fsdecode(file)

    def failure(self, step: int, number: int) -> SpawnError:
        """The error for the step that failed with that errno."""
        label, file = self._steps.labels[step]
        named = None if file is None else os.fsdecode(file)
        return spawn_error(label, number, named, reason_among(self._validated, label, number))


class _Prepared(Generic[T]):
    """A function whose child carries out its setup first."""

    def __init__(self, setup: FunctionSetup, fn: Callable[..., T]) -> None:
        self._setup = setup
        self._fn = fn
        self.failed_step: FailedStep | None = None  # as numbers, for the result channel

    def __call__(self, *args: object) -> T:
        failed, number = _core.do_steps(self._setup.plan)
        if failed >= 0:
            self.failed_step = FailedStep(failed, number)
            raise self._setup.failure(failed, number)
        return self._fn(*args)
