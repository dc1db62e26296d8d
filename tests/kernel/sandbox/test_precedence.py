"""A caller that runs before all other processes: what it confines does not."""

import os
import resource
import sys
from collections.abc import Callable
from typing import Any

import pytest

import ramet

from ...constants import SECONDS
from .taken_away import needs_all

pytestmark = [needs_all, pytest.mark.usefixtures("nothing_kept")]

SANDBOX = ramet.Sandbox()
OWN = """
import os, resource
print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))
print(resource.getrlimit(resource.RLIMIT_RTPRIO)[1], resource.getrlimit(resource.RLIMIT_NICE)[1])
"""
NONE = [os.SCHED_OTHER, 0, 0, 0]


def own() -> list[int]:
    """The policy and the niceness of this process, and the most that it may raise them to."""
    limits = (resource.RLIMIT_RTPRIO, resource.RLIMIT_NICE)
    mine = [os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)]
    return [*mine, *(resource.getrlimit(one)[1] for one in limits)]


def of_a_program(**options: Any) -> list[int]:
    """The same of one in the sandbox."""
    done = ramet.run(
        [sys.executable, "-c", OWN], sandbox=SANDBOX, capture_output=True, check=True, **options
    )
    return [int(word) for word in done.stdout.split()]


def of_a_function() -> list[int]:
    """The same of a copy of this process."""
    with ramet.clone(own, sandbox=SANDBOX) as child:
        found: list[int] = child.result(SECONDS)
    return found


def of_a_call() -> list[int]:
    """The same of a template's call."""
    with ramet.Template(sandbox=SANDBOX) as template:
        found: list[int] = template.clone(own).result(SECONDS)
    return found


def before_others(work: Callable[[], list[int]]) -> list[int]:
    """What that says in a process that runs before others."""
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    os.setpriority(os.PRIO_PROCESS, 0, -5)
    return work()


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("work", [of_a_program, of_a_function, of_a_call])
def test_it_is_not_before_others(work: Callable[[], list[int]]) -> None:
    """Neither real time nor a negative niceness goes on in a sandbox, and none can be had there."""
    with ramet.clone(before_others, own) as child:
        assert child.result(SECONDS)[:2] == [os.SCHED_RR, -5]
    with ramet.clone(before_others, work) as child:
        assert child.result(2 * SECONDS) == NONE


def of_a_command() -> list[list[int]]:
    """The same of one Command, before this process runs before others and then."""
    reader, writer = os.pipe()
    command = ramet.Command([sys.executable, "-c", OWN], sandbox=SANDBOX, stdout=writer)

    def told() -> list[int]:
        assert command.spawn().wait().success
        return [int(word) for word in os.read(reader, 100).split()]

    return [told(), before_others(told)]


@pytest.mark.usefixtures("root")
def test_a_command_that_was_made_before_is_not_before_others() -> None:
    """It is worked out once, and whoever starts it is looked at each time."""
    policy, _, *limits = NONE
    usual = [policy, max(0, own()[1]), *limits]  # these tests may run behind others themselves
    with ramet.clone(of_a_command) as child:
        assert child.result(2 * SECONDS) == [usual, NONE]


@pytest.mark.parametrize("work", [of_a_program, of_a_function, of_a_call])
def test_it_cannot_be_had(work: Callable[[], list[int]]) -> None:
    """The limits are 0, whatever the caller's are."""
    assert work()[2:] == [0, 0]


def test_a_niceness_that_is_given_counts() -> None:
    """It is the one that is asked for, and what is below that of others stays."""
    assert of_a_program(nice=19)[1] == 19
