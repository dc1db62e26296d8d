import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ramet._kernel import process_memory, task_memory
from ramet._kernel.task_memory import PageState, PageTable

PAGE = mmap.PAGESIZE
PAGES = 2000


@contextmanager
def some_pages() -> Iterator[tuple[mmap.mmap, int]]:
    """Untouched memory of this process, and its address."""
    memory = mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    yield memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))
    memory.close()


def written(memory: mmap.mmap, pages: range) -> None:
    for page in pages:
        memory[page * PAGE] = 1


def test_each_page_has_its_state() -> None:
    """A page that was written to is the process's own; an untouched one is absent."""
    with some_pages() as (memory, start):
        written(memory, range(0, PAGES, 3))
        with PageTable(os.getpid()) as table:
            states = table.states(start, start + PAGES * PAGE)
    assert len(states) == PAGES
    assert all(
        state == (PageState.ABSENT if page % 3 else PageState.EXCLUSIVE)
        for page, state in enumerate(states)
    )


def test_the_page_of_zeros_is_absent() -> None:
    """Memory that was read and never written costs nothing, and the state of its pages says so."""
    with some_pages() as (memory, start), PageTable(os.getpid()) as table:
        assert memory[7 * PAGE] == 0
        try:
            zeros = list(table._scan(start, start + PAGES * PAGE, task_memory._IS_ZERO))
        except OSError:
            pytest.skip("needs PAGEMAP_SCAN, of Linux 6.7")
        assert zeros == [(start + 7 * PAGE, start + 8 * PAGE)]
        assert set(table.states(start, start + PAGES * PAGE)) == {PageState.ABSENT}


def test_populated_ranges_hold_all_that_is_there() -> None:
    """Pages that lie far apart are found, many at a time, and large holes are left out."""
    with some_pages() as (memory, start), PageTable(os.getpid()) as table:
        written(memory, range(0, 1200, 2))  # more than one scan tells of at a time
        written(memory, range(1900, 1910))
        ranges = list(table.populated(start, start + PAGES * PAGE))
        seen = {
            page
            for first, last in ranges
            for page in range((first - start) // PAGE, (last - start) // PAGE)
        }
    assert {*range(0, 1200, 2), *range(1900, 1910)} <= seen
    assert len(seen) < 1300 or ranges == [(start, start + PAGES * PAGE)]


def test_an_older_kernel_tells_the_same_of_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PAGEMAP_SCAN the whole range is read, with the same states."""

    def refuse(*_: object) -> Iterator[tuple[int, int]]:
        raise OSError

    with some_pages() as (memory, start), PageTable(os.getpid()) as table:
        written(memory, range(5))
        end = start + PAGES * PAGE
        states = table.states(start, end)
        monkeypatch.setattr(table, "_scan", refuse)
        assert table.states(start, end) == states
        assert list(table.populated(start, end)) == [(start, end)]


def test_what_lies_beyond_the_memory_is_absent() -> None:
    """A range that ends above all addresses of the process is answered to its end."""
    with PageTable(os.getpid()) as table:
        assert table.states((1 << 47) - PAGE, (1 << 47) + PAGE) == bytes(2)


def test_the_mappings_have_names_and_counters() -> None:
    """The stack is there, with pages in memory; a file has its path, with blanks in it."""
    path = f"/tmp/ramet a b {os.getpid()}"
    with open(path, "w+b") as file:
        file.write(bytes(PAGE))
        file.flush()
        with mmap.mmap(file.fileno(), PAGE) as mapped:
            assert mapped[0] == 0
            by_name = {mapping.name: mapping for mapping in task_memory.mappings(os.getpid())}
    os.unlink(path)
    stack = by_name["[stack]"]
    assert stack.resident >= PAGE
    assert stack.resident % PAGE == 0
    assert stack.permissions.startswith("rw")
    assert by_name[path].end - by_name[path].start == PAGE


def test_the_whole_is_more_than_a_page() -> None:
    """The proportional set size and the page tables are in bytes."""
    assert 1 << 20 < process_memory.proportional_bytes(os.getpid()) < 1 << 40
    assert PAGE <= process_memory.page_table_bytes(os.getpid()) < 1 << 30
