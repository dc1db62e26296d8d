"""What a clone does before the function of a call: what the plan of the call says."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..._limits.python_stack import answer_stack_requests
from ..._limits.resident_watch import limit_data
from ..crossing.call_messages import CallPlan
from ..crossing.call_options import carry_out, set_up
from ..crossing.caller_state import apply

# Descriptors that came with the call, for its function: CallRequest.pass_on().
passed: list[int] = []

_OUTPUTS = {1: "stdout", 2: "stderr"}


def carry_out_plan(plan: CallPlan, descriptors: Sequence[int]) -> None:
    """Become what the caller asks for: first its limits, then where it is, then the options."""
    if not plan:
        return
    taken = iter(descriptors)
    for name, act in _ACTS.items():
        if name in plan:
            act(plan[name], taken)  # type: ignore[literal-required] # one of its own
    if plan.get("stopped"):
        os.kill(os.getpid(), signal.SIGSTOP)


def _enter_cgroup(count: int, taken: Iterator[int]) -> None:
    for _ in range(count):
        entry = next(taken)
        os.write(entry, b"0")
        os.close(entry)


def _put_streams(numbers: Sequence[int], taken: Iterator[int]) -> None:
    for number in numbers:
        file = next(taken)
        os.dup2(file, number)
        os.close(file)
        name = _OUTPUTS.get(number)
        # Closed when the caller began, whose copy this is.
        if name is not None and getattr(sys, name, None) is None:
            stream = open(number, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _limit_data(budget: int, _: Iterator[int]) -> None:
    limit_data(budget)


def _keep_passed(count: int, taken: Iterator[int]) -> None:
    passed[:] = [next(taken) for _ in range(count)]


# By the name in the plan, in the order of the descriptors that go with each.
_ACTS: dict[str, Callable[[Any, Iterator[int]], None]] = {
    "entry": _enter_cgroup,
    "stack": lambda _, taken: answer_stack_requests(next(taken)),
    "passed": _keep_passed,
    "data_limit": _limit_data,
    "caller": lambda changes, taken: apply(
        changes, [next(taken) for _ in changes.get("files", ())]
    ),
    "streams": _put_streams,
    "options": lambda asked, taken: set_up(asked[1], asked[0], list(taken)),
    "steps": lambda steps, _: carry_out(steps),
}
