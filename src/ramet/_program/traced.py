"""A program that waits before its exec until a tracer has attached to it."""

from collections.abc import Sequence
from typing import Unpack

from .._core import Plan, new_child
from .._process.blocking import BLOCKING, run_blocking
from .._process.child import Child, make_child
from .._process.launching import LAUNCHED, Report, Underway, launch_beside
from .._setup.checks import Text
from .._setup.options import Options
from .._setup.step_makers import START_GATE
from ..errors import SpawnError
from .command import Command

FILTER_STEP = "seccomp of the trace"

_NO_FAILURE = -1
_INSTRUCTION_BYTES = 8  # struct sock_filter


class TracedProgram:
    """A program that is to be traced: made, it waits at a gate until go().

    filter_program: a seccomp filter that it takes before it waits; None for none. The tracer reaps it, and
    nobody else may before the trace is over: the tracer would wait for an end that it never gets.
    Raises as Command() and Command.spawn() do.
    """

    def __init__(
        self, argv: Sequence[Text], filter_program: bytes | None, **options: Unpack[Options]
    ) -> None:
        options["start"] = False
        self._command = command = Command(argv, **options)
        preparation = command._preparation
        steps, self._labels = list(preparation.steps.steps), list(preparation.steps.labels)
        if filter_program is not None:
            # Before the gate: so that a kernel that takes none is told at once.
            count = len(filter_program) // _INSTRUCTION_BYTES
            steps.insert(-1, ("SECCOMP", bytearray(filter_program), count, 0, -1))
            self._labels.insert(-1, (FILTER_STEP, None))
        self._labels.append(("execve", None))
        self._plan = Plan([*steps, command._exec])
        self._underway: Underway
        self.child = make_child(
            new_child(Child, list(command.argv), preparation.flags, False), self._launch
        )

    def _launch(self, child: Child[None]) -> None:
        preparation = self._command._preparation
        begun = launch_beside(preparation.wanted, self._plan, preparation.manner, child, None)
        assert isinstance(begun, Underway)  # without patience
        self._underway = begun
        failed = self._reach(START_GATE)
        if failed is not None:
            child.wait()
            raise failed

    def go(self) -> SpawnError | None:
        """Let it go on, and return when it runs; or why it does not: then it has ended."""
        self._underway.open(START_GATE)
        return self._reach(LAUNCHED)

    def _reach(self, gate: int) -> SpawnError | None:
        report: Report = run_blocking(BLOCKING.reach, self._underway, gate)
        step, number = report
        return None if step == _NO_FAILURE else self._command._error_of(*self._labels[step], number)
