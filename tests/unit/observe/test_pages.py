import pytest

from ramet._kernel.task_memory import PageState
from ramet.observe.pages import Kind, Span, _compared, counted

ABSENT, SWAPPED, COMMON, EXCLUSIVE, FILE_COMMON, FILE_EXCLUSIVE, HUGE_COMMON, HUGE_EXCLUSIVE = (
    PageState
)

# Typed by hand: the state in the child, in the origin, and what the page is.
EXPECTED = [
    (ABSENT, EXCLUSIVE, Kind.ABSENT),
    (SWAPPED, COMMON, Kind.SWAPPED),
    (COMMON, COMMON, Kind.SHARED),
    (COMMON, EXCLUSIVE, Kind.COMMON),
    (COMMON, ABSENT, Kind.COMMON),
    (COMMON, FILE_COMMON, Kind.COMMON),
    (EXCLUSIVE, COMMON, Kind.COPIED),
    (EXCLUSIVE, EXCLUSIVE, Kind.COPIED),
    (EXCLUSIVE, FILE_COMMON, Kind.COPIED),
    (EXCLUSIVE, FILE_EXCLUSIVE, Kind.COPIED),
    (EXCLUSIVE, ABSENT, Kind.NEW),
    (EXCLUSIVE, SWAPPED, Kind.SWAPPED),
    (FILE_COMMON, FILE_COMMON, Kind.SHARED),
    (FILE_COMMON, ABSENT, Kind.COMMON),
    (FILE_EXCLUSIVE, ABSENT, Kind.FILES),
    (HUGE_COMMON, HUGE_COMMON, Kind.SHARED),
    (HUGE_COMMON, COMMON, Kind.SHARED),
    (HUGE_COMMON, EXCLUSIVE, Kind.COMMON),
    (COMMON, HUGE_COMMON, Kind.SHARED),
    (COMMON, HUGE_EXCLUSIVE, Kind.SHARED),
    (EXCLUSIVE, HUGE_COMMON, Kind.COPIED),
    (EXCLUSIVE, HUGE_EXCLUSIVE, Kind.COPIED),
    (HUGE_EXCLUSIVE, COMMON, Kind.SHARED),
    (HUGE_EXCLUSIVE, EXCLUSIVE, Kind.COPIED),
    (HUGE_EXCLUSIVE, ABSENT, Kind.NEW),
    (HUGE_EXCLUSIVE, SWAPPED, Kind.SWAPPED),
]


@pytest.mark.parametrize(("here", "there", "kind"), EXPECTED)
def test_a_page_by_its_state_in_both(here: PageState, there: PageState, kind: Kind) -> None:
    """Each pair of states says what the page is."""
    assert _compared(bytes([here]), bytes([there])) == bytes([kind])


def test_many_pages_at_once_are_as_each_alone() -> None:
    """Pages do not affect their neighbours."""
    here = bytes(row[0] for row in EXPECTED)
    there = bytes(row[1] for row in EXPECTED)
    assert _compared(here * 100, there * 100) == bytes(row[2] for row in EXPECTED) * 100
    assert _compared(b"", b"") == b""


def test_the_pages_of_each_kind_are_counted() -> None:
    """Over all spans."""
    found = counted([Span(0, bytes([Kind.COPIED, Kind.NEW])), Span(1 << 20, bytes([Kind.COPIED]))])
    assert (found[Kind.COPIED], found[Kind.NEW], found[Kind.SHARED]) == (2, 1, 0)
