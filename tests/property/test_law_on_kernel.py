import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramet._preflight.this_machine import running_kernel
from ramet.conformance.family import in_a_caller
from ramet.conformance.run import Found, compare_all, prepared
from ramet.conformance.trial import Case
from ramet.law import Caller, evaluate, kernel_version

from ..constants import KERNEL_SPACE
from ..flag_values import *

PYTEST = os.getpid()
# They would kill or stop the caller, and no mask of libc's keeps the last two out.
UNBLOCKABLE = {9, 19, 32, 33}

some_bits = st.lists(st.sampled_from([1 << bit for bit in range(64)]), max_size=4, unique=True).map(
    sum
)
known_bits = st.lists(
    st.sampled_from([1 << bit for bit in range(7, 34) if 1 << bit not in {INTO_CGROUP, NEWNET}]),
    max_size=12,
    unique=True,
).map(sum)
addresses = st.sampled_from([0, 8, KERNEL_SPACE, (1 << 64) - 1])
signals = st.one_of(
    st.just(0), st.just(17), st.integers(0, 70), st.integers(0, (1 << 64) - 1)
).filter(lambda number: number not in UNBLOCKABLE)


@st.composite
def requests(draw: st.DrawFn) -> Case:
    """Any request of any fields, right or wrong, whose child can live."""
    flags = draw(known_bits) | (draw(some_bits) & ~INTO_CGROUP & ~NEWNET)
    if draw(st.booleans()):
        signal = draw(signals.filter(lambda number: number < 256))
        fields = draw(st.fixed_dictionaries({}, optional={"parent_tid": addresses}))
        return Case(flags & ~0xFF & ((1 << 32) - 1), signal, "clone", fields)
    optional: dict[str, Any] = {
        "pidfd": addresses,
        "child_tid": addresses,
        "parent_tid": addresses,
        "tls": addresses,
        "size": st.one_of(st.sampled_from([64, 80, 88]), st.integers(0, 5000)),
        "beyond": st.booleans(),
        "args": addresses,
        "set_tid": st.lists(st.sampled_from([0, -1, 1, PYTEST]), max_size=34),
        "stack": st.sampled_from([0, 8, KERNEL_SPACE]),
    }
    fields = draw(st.fixed_dictionaries({}, optional=optional))
    if flags & VM and fields.get("stack") == 0:
        del fields["stack"]  # such a child would run on its caller's stack
    if "stack" in fields and not flags & VM:
        fields["stack_size"] = draw(st.sampled_from([0, 1 << 63, (1 << 64) - 1]))
    return Case(flags, draw(signals), "clone3", fields)


batches = st.lists(requests(), min_size=30, max_size=60)


@pytest.mark.timeout(900)  # beside guests it has been seen to take two minutes
@settings(max_examples=40)
@given(batches)
def test_the_kernel_answers_as_the_law_says(cases: list[Case]) -> None:
    """clone(2), ERRORS: whatever is asked, the answer is the one that is foreseen."""

    def part() -> Found:
        kernel, current = prepared()
        used = frozenset({1, os.getpid(), PYTEST})
        caller = current._replace(tids_in_use=used)
        return compare_all(((case, caller) for case in cases), kernel)

    assert in_a_caller(part).lines == []


def test_a_plain_request_is_granted() -> None:
    """What the batches compare with is no empty table."""
    version = kernel_version(running_kernel())
    assert evaluate(Case(0, 17).request(), Caller(), version).granted
