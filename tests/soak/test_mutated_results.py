"""A million results that a hostile child might send."""

import os
import resource

import pytest

from tests.mutated_results import judge

ROUNDS = int(os.environ.get("RAMET_MUTATED", "1000000"))
MOST_KILOBYTES = 256 << 10  # most of it is what the mutating takes

pytestmark = pytest.mark.timeout(3600)


def test_a_million_mutated_results() -> None:
    """Each is a value of data or a ResultError; this process does not grow by what is in them."""
    pytest.importorskip("numpy")
    judge(2000, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counted = judge(ROUNDS, 20261127)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(dict(counted), f"{grown} KiB more at most")
    assert grown < MOST_KILOBYTES
    assert min(counted[f"{carrier} value"] for carrier in ("Shared", "Wire")) > ROUNDS / 100
