"""The steps of a setup: what the rows of its options ask for, in the order of the sections."""

from operator import attrgetter
from typing import Any

from .order import Step, Steps
from .rows import OPTIONS
from .step_makers import ALWAYS, Setup

_place = attrgetter("place")


def steps_of(setup: Setup) -> Steps:
    """The steps that set a child up, all but its program."""
    steps = Steps()
    asked: dict[Step, Any] = dict(ALWAYS)
    for name, value in setup.validated.items():
        for step in OPTIONS[name].steps:
            if value is not False or step.of_false:
                asked[step] = value
    for step in sorted(asked, key=_place):
        step.do(setup, steps, asked[step])
    return steps
