"""What the page of kernels says of older ones."""

from pathlib import Path

import pytest

from tools.guest.fallbacks import FALLBACKS, Fallback

TREE = Path(__file__).parents[3]


@pytest.mark.parametrize("fallback", FALLBACKS, ids=lambda each: each.lacking)
def test_each_has_a_test_that_is_there(fallback: Fallback) -> None:
    """A file, and a function in it."""
    file, _, function = fallback.test.partition("::")
    assert f"def {function}(" in (TREE / file).read_text() or not function


def test_they_are_in_the_order_of_their_kernels() -> None:
    """The oldest first."""
    versions = [tuple(map(int, each.since.split("."))) for each in FALLBACKS]
    assert versions == sorted(versions)
