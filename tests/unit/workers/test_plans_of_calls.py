"""The plan of a call as it crosses: letters where the core carries it out, else a pickle."""

import itertools
import re

import pytest

from ramet._workers.crossing.call_messages import CallPlan, is_in_letters, read_plan, written_plan

CHOICES: list[list[CallPlan]] = [
    [{}, {"entry": 1}, {"entry": 3}],
    [{}, {"stack": True}],
    [{}, {"streams": (1, 2)}, {"streams": (1, 2, 0, 2)}],
    [{}, {"last": False}],
    [{}, {"steps": ((("UMASK", 7),), (("umask", None),))}],
]
SHORT: list[CallPlan] = [
    {key: value for part in parts for key, value in part.items()}  # type: ignore[misc]
    for parts in itertools.product(*CHOICES)
]
FORM = re.compile(rb"e*s?[012]*\+?(=.+)?\Z", re.DOTALL)


@pytest.mark.parametrize("plan", SHORT, ids=str)
def test_a_short_one_is_letters(plan: CallPlan) -> None:
    """In the order in which the core takes their descriptors."""
    written = written_plan(plan)
    assert is_in_letters(written)
    assert FORM.match(written)
    assert read_plan(bytearray(written)) == plan


@pytest.mark.parametrize(
    "more", [{"data_limit": 1}, {"trusted": False}, {"stopped": True}], ids=str
)
def test_one_that_asks_for_more_is_a_pickle(more: CallPlan) -> None:
    """Also where the rest would be letters."""
    plan: CallPlan = {"entry": 1, "last": False, **more}
    assert not is_in_letters(written_plan(plan))
    assert read_plan(written_plan(plan)) == plan


def test_steps_that_are_too_long_are_pickled() -> None:
    """The core takes plain values of 16 KiB."""
    plan: CallPlan = {"steps": ((("SETGROUPS", 1, [bytes(1 << 15)]),), (("setgroups", None),))}
    assert not is_in_letters(written_plan(plan))
    assert read_plan(written_plan(plan)) == plan
