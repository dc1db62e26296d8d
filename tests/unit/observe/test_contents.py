import os
import random
import struct

from ramet._kernel.process_memory import PAGE_BYTES
from ramet.observe.contents import Copied, _differing, _runs, compared, copied
from ramet.observe.pages import Kind, Span


def test_words_that_differ_are_marked() -> None:
    """A word of eight bytes differs when one of its bytes does, whichever it is."""
    numbers = random.Random(7)
    words = [numbers.getrandbits(64) for _ in range(1024)]
    changed = sorted(numbers.sample(range(1024), 100))
    others = [
        word ^ (1 << numbers.randrange(64)) if place in changed else word
        for place, word in enumerate(words)
    ]
    differing = _differing(struct.pack("=1024Q", *words), struct.pack("=1024Q", *others))
    assert [place for place, differs in enumerate(differing) if differs] == changed
    assert set(differing) == {0, 1}


def test_runs_are_of_copied_pages_only() -> None:
    """Pages beside each other are one run; a long one is read in parts."""
    kinds = bytes([Kind.COPIED, Kind.COPIED, Kind.NEW, Kind.SHARED, Kind.COPIED])
    start = 16 * PAGE_BYTES
    assert list(_runs([Span(start, kinds)])) == [(start, 2), (start + 4 * PAGE_BYTES, 1)]
    long = list(_runs([Span(0, bytes([Kind.COPIED]) * 70)]))
    assert [pages for _, pages in long] == [32, 32, 6]
    assert [first for first, _ in long] == [0, 32 * PAGE_BYTES, 64 * PAGE_BYTES]
    assert copied([Span(start, kinds)])[1] == Copied(start + 4 * PAGE_BYTES, 1, b"")


def test_a_process_is_the_same_as_itself() -> None:
    """Compared with itself a page that nobody writes to differs in no word; an unmapped one is left out."""
    page = bytes(range(256)) * (3 * PAGE_BYTES // 256)
    place = -(-id(page) // PAGE_BYTES) * PAGE_BYTES + PAGE_BYTES
    spans = [Span(place, bytes([Kind.COPIED])), Span(PAGE_BYTES, bytes([Kind.COPIED]))]
    pid = os.getpid()
    try:
        found = compared(spans, pid, pid)
    finally:
        assert page  # it has to be there until now
    assert found == [Copied(place, 1, bytes(PAGE_BYTES // 8))]
