"""Hot pages: what calls in some clones have copied, others copy ahead."""

import ctypes
import errno
import gc
import mmap
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramet._core import HotPages, replace_mapping

from ...seccomp import allow_all, hide

pytestmark = pytest.mark.usefixtures("nothing_left")

PAGE = 4096
PAGES = 64
HOT = range(3, 40, 2)
NO_CALLS = -1
NO_BOUND = 1 << 30


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    """All of it written, so that a fork has a copy."""
    with mmap.mmap(-1, PAGES * PAGE, mmap.MAP_PRIVATE) as made:
        made.write(b"x" * len(made))
        yield made


def in_a_fork(act: Callable[[], int]) -> int:
    """What it returns there, a small number. A collection in it would write to every page with objects."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            gc.disable()
            code = act()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def write_hot(memory: mmap.mmap) -> int:
    """Write to the hot pages. Returns how many pages were copied by that."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for page in HOT:
        memory[page * PAGE] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def note_a_call(hot: HotPages, memory: mmap.mmap) -> int:
    """What a spare does that looks."""
    hot.look()
    write_hot(memory)
    hot.note()
    return 0


def copied_after(hot: HotPages, memory: mmap.mmap, most_bytes: int, calls: int = NO_CALLS) -> int:
    """How many pages a call copies still, when others were copied ahead."""
    hot.copy(most_bytes, calls)
    return write_hot(memory)


def test_what_a_call_has_copied_is_copied_ahead(memory: mmap.mmap) -> None:
    """Before anything was noted, a call copies all; after that, none or what belongs to the call itself."""
    hot = HotPages()
    assert in_a_fork(lambda: copied_after(hot, memory, NO_BOUND)) >= len(HOT)
    assert in_a_fork(lambda: note_a_call(hot, memory)) == 0
    assert in_a_fork(lambda: copied_after(hot, memory, NO_BOUND)) < len(HOT) // 2


def test_no_more_than_was_allowed_is_copied(memory: mmap.mmap) -> None:
    """For no bytes nothing is; the count is looked at every 64 pages."""
    hot = HotPages()
    assert in_a_fork(lambda: note_a_call(hot, memory)) == 0
    assert in_a_fork(lambda: copied_after(hot, memory, 0)) >= len(HOT)


def test_nothing_is_copied_while_a_call_waits(memory: mmap.mmap) -> None:
    """The spare serves it as it is."""
    hot = HotPages()
    assert in_a_fork(lambda: note_a_call(hot, memory)) == 0
    reading, writing = os.pipe()
    assert in_a_fork(lambda: copied_after(hot, memory, NO_BOUND, reading)) < len(HOT) // 2
    os.write(writing, b"a call")
    assert in_a_fork(lambda: copied_after(hot, memory, NO_BOUND, reading)) >= len(HOT)
    os.close(reading)
    os.close(writing)


def test_what_was_not_looked_at_is_not_noted(memory: mmap.mmap) -> None:
    """A clone that has not looked before its call cannot tell what the call has copied."""
    hot = HotPages()

    def call() -> int:
        write_hot(memory)
        hot.note()
        return 0

    assert in_a_fork(call) == 0
    assert in_a_fork(lambda: copied_after(hot, memory, NO_BOUND)) >= len(HOT)


def shared_mappings() -> int:
    """How many this process has."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sum(line.split()[1].endswith("s") for line in lines)


def test_what_is_forgotten_is_neither_known_nor_shared(memory: mmap.mmap) -> None:
    """Nothing is copied ahead, and nobody notes anything; no mapping is shared any more."""
    before = shared_mappings()
    hot = HotPages()
    assert in_a_fork(lambda: note_a_call(hot, memory)) == 0
    hot.forget()
    hot.forget()
    assert shared_mappings() == before
    assert in_a_fork(lambda: note_a_call(hot, memory)) == 0
    assert in_a_fork(lambda: copied_after(hot, memory, NO_BOUND)) >= len(HOT)


def unmap(memory: mmap.mmap) -> None:
    """As a warm-up may do."""
    memory.close()


def protect(memory: mmap.mmap) -> None:
    """Map what cannot be written to in its place, as a library that is loaded later may be."""
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    replace_mapping(start, len(memory), mmap.PROT_READ, -1, 0)


def hide_the_advice() -> None:
    """As on Linux before 5.14, which does not know MADV_POPULATE_WRITE."""
    hide("madvise", errno.EINVAL)


@pytest.mark.parametrize("kernel", [allow_all, hide_the_advice], ids=["this kernel", "before 5.14"])
@pytest.mark.parametrize("change", [unmap, protect])
def test_memory_that_is_gone_is_left_out(
    change: Callable[[mmap.mmap], None], kernel: Callable[[], None], memory: mmap.mmap
) -> None:
    """A clone in which other memory has come to its place does not die, and copies the rest."""
    lost = mmap.mmap(-1, PAGES * PAGE, mmap.MAP_PRIVATE)
    lost.write(b"x" * len(lost))

    def note_calls(hot: HotPages) -> int:
        hot.look()
        write_hot(lost)
        write_hot(memory)
        hot.note()
        return 0

    def call(hot: HotPages) -> int:
        change(lost)
        return 7 if copied_after(hot, memory, NO_BOUND) < len(HOT) // 2 else 1

    def be_a_template() -> int:
        kernel()
        hot = HotPages()
        assert in_a_fork(lambda: note_calls(hot)) == 0
        return in_a_fork(lambda: call(hot))

    assert in_a_fork(be_a_template) == 7
    lost.close()
