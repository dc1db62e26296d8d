import ctypes
import gc
import mmap
import os
import signal
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import ramet
from ramet import CloneFlag as F
from ramet.observe import ChildMemory, MappingMemory, TypeMemory, memory
from ramet.observe import pages as observed_pages

from ...constants import NOBODY, SECONDS
from ...kernels import KERNEL
from ...looking import shows_kthreadd
from ...waiting import until

PAGE = mmap.PAGESIZE
PAGES = 600
# What a child and the measurement themselves write to, beside what a test looks at.
BESIDE = 8 << 20


class Mark:
    """A type that only these tests have."""

    __slots__ = ()


class Node:
    """Another, which the collector knows."""

    __slots__ = ("other",)

    def __init__(self) -> None:
        self.other: object = None


class Big:
    """Pages that were all written to, and nothing else in their mapping."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.memory.madvise(mmap.MADV_NOHUGEPAGE)
        # So that it is one with no neighbour: glibc 2.43 gives threads' stacks the other advice, too.
        self.memory.madvise(mmap.MADV_DONTDUMP)
        self.write(PAGES)

    def write(self, pages: int, value: int = 1) -> None:
        for page in range(pages):
            self.memory[page * PAGE] = value

    def row_of(self, report: ChildMemory) -> MappingMemory:
        """What is said of its mapping."""
        return row_at(address_of(self.memory), report)


def address_of(memory_: mmap.mmap) -> int:
    view = ctypes.c_char.from_buffer(memory_)
    return ctypes.addressof(view)  # and no longer keeps the mapping from being closed


def row_at(address: int, report: ChildMemory) -> MappingMemory:
    (row,) = [row for row in report.mappings if row.start == address]
    return row


@pytest.fixture
def big() -> Iterator[Big]:
    """Memory in which a test knows of each page who has written to it."""
    made = Big()
    yield made
    made.memory.close()


@contextmanager
def held(work: Callable[[], object], flags: int = 0) -> Iterator[ramet.Child[None]]:
    """A child that has done this work and stays."""
    ready, go_on = os.pipe(), os.pipe()

    def run() -> None:
        kept = work()
        os.write(ready[1], b".")
        os.read(go_on[0], 1)
        del kept

    child = ramet.clone(run, flags=flags)
    try:
        os.read(ready[0], 1)
        yield child
    finally:
        os.write(go_on[1], b".")
        child.wait(SECONDS)
        for descriptor in (*ready, *go_on):
            os.close(descriptor)


def look(child: ramet.Child[None], **options: bool) -> ChildMemory:
    (report,) = memory([child], **options)
    return report


@pytest.mark.parametrize("written", [0, 1, 200, PAGES])
def test_what_a_child_writes_to_is_copied(written: int, big: Big, nothing_left: object) -> None:
    """Of a mapping of this process exactly the pages are copied that the child has written to."""
    with held(lambda: big.write(written)) as child:
        row = big.row_of(look(child, types=False))
    assert (row.copied, row.own) == (written * PAGE, written * PAGE)
    assert (row.shared, row.common) == ((PAGES - written) * PAGE, (PAGES - written) * PAGE)
    assert (row.resident, row.swapped, row.files) == (PAGES * PAGE, 0, 0)
    assert row.pss == written * PAGE + (PAGES - written) * PAGE // 2


def test_what_the_origin_writes_to_is_no_longer_shared(big: Big) -> None:
    """After a write of this process the child has the page for itself."""
    with held(lambda: None) as child:
        big.write(50)
        row = big.row_of(look(child, types=False))
    assert (row.copied, row.shared) == (50 * PAGE, (PAGES - 50) * PAGE)


def test_what_only_siblings_share_is_not_the_origins(big: Big) -> None:
    """Two children have a page in common that this process has written to since."""
    with held(lambda: None) as one, held(lambda: None) as other:
        big.write(50)
        rows = [big.row_of(report) for report in memory([one, other], types=False)]
    for row in rows:
        assert (row.copied, row.shared) == (0, (PAGES - 50) * PAGE)
        assert row.common == PAGES * PAGE


def test_new_memory_is_not_copied() -> None:
    """What a child allocates is its own and new, and costs it in PSS."""
    with held(lambda: bytearray(b"x") * (64 << 20)) as child:
        report = look(child, types=False)
    assert report.copied is not None
    assert report.own - report.copied >= 64 << 20
    assert report.copied < BESIDE
    assert report.pss >= 64 << 20


def test_the_sizes_are_of_the_whole_process() -> None:
    """They are the sums over the mappings, and agree with the kernel's own counter."""
    with held(lambda: None) as child:
        report = look(child, types=False)
        rollup = Path(f"/proc/{child.pid}/smaps_rollup").read_text()
    assert report.resident == sum(row.resident for row in report.mappings)
    assert report.resident == report.own + report.common + report.files
    assert report.page_tables > 0
    kernels = int(rollup.partition("Rss:")[2].split()[0]) * 1024
    assert abs(report.resident - kernels) <= 64 * PAGE  # it may have been at work still


def test_frames_say_the_same(big: Big) -> None:
    """Who may see the numbers of page frames finds the same pages shared."""
    with held(lambda: big.write(123)) as child:
        row = big.row_of(look(child, types=False))
        here, there = (frames(pid, row.start) for pid in (child.pid, os.getpid()))
    if not any(here):
        pytest.skip("needs CAP_SYS_ADMIN to see page frames")
    same = sum(one == other for one, other in zip(here, there, strict=True))
    assert row.shared == same * PAGE


def frames(pid: int, start: int) -> list[int]:
    """The frames of the pages of a Big, by /proc/PID/pagemap."""
    with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        pagemap.seek(start // PAGE * 8)
        entries = pagemap.read(PAGES * 8)
    return [entry & (1 << 55) - 1 for (entry,) in struct.iter_unpack("=Q", entries)]


HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.parametrize("writer", ["child", "origin"])
def test_pages_of_a_huge_page_are_told_apart(writer: str) -> None:
    """After writes to some pages of huge ones these are copied, and the rest is shared still."""
    if not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text():
        pytest.skip("needs transparent huge pages")
    with mmap.mmap(-1, 8192 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory_:
        memory_.madvise(mmap.MADV_HUGEPAGE)
        memory_.madvise(mmap.MADV_DONTDUMP)  # so that it is one with no neighbour
        compare_huge_pages(memory_, writer)


def compare_huge_pages(memory_: mmap.mmap, writer: str) -> None:
    for page in range(8192):
        memory_[page * PAGE] = 1

    def row_of(pid: int) -> MappingMemory:
        (report,) = memory([pid], types=False)
        return row_at(address_of(memory_), report)

    first = -address_of(memory_) // PAGE % 512

    def write() -> None:
        for page in (
            first,
            first + 7,
            first + 1024 + 8,
        ):  # the first page of a huge one, and others
            memory_[page * PAGE] = 2

    with held(write if writer == "child" else lambda: None) as child:
        if writer == "origin":
            write()
        row = row_of(child.pid)
    # In a huge page Linux may say of all pages what holds for the first, or for the most. What tells that
    # a page is in one came with Linux 6.7: before, the rest of a huge page counts as its owner's alone.
    least = 3 if writer == "child" else 0
    copied = {number * PAGE for number in range(least, 4)}
    if writer == "origin" and KERNEL < (
        6,
        11,
    ):  # the first page is the child's alone now, so all are
        copied.add(512 * PAGE)
    assert row.copied in copied
    assert row.shared in {(8192 - 3) * PAGE, (8192 - 3 - 510) * PAGE}


# ---- Python types


def count(marks: list[Mark]) -> list[Mark]:
    return list(marks)


def test_objects_that_were_referred_to_lie_on_copied_pages(nothing_left: object) -> None:
    """A new reference to an object writes to its page; the types of what lies there are told."""
    gc.disable()
    try:
        marks = [Mark() for _ in range(50_000)]
        with held(lambda: None) as idle, held(lambda: count(marks)) as busy:
            reports = memory([idle, busy])
    finally:
        gc.enable()
    name = f"{__name__}.Mark"
    found = [
        next((row for row in report.types or () if row.name == name), None) for report in reports
    ]
    assert found[1] is not None
    assert (found[1].objects, found[1].copied_objects) == (50_000, 50_000)
    assert found[1].size == found[1].copied == 50_000 * 16
    assert found[0] is None or found[0].copied_objects < 5_000
    assert "types" not in reports[1].unknown
    rest = reports[1].copied_without_objects
    assert rest is not None
    assert rest < (reports[1].copied or 0)


def test_frozen_objects_are_found() -> None:
    """What gc.freeze() has put out of the collector's sight is counted, too."""
    gc.disable()
    marks = [Mark() for _ in range(30_000)]
    gc.freeze()
    try:
        with held(lambda: count(marks)) as child:
            rows = {row.name: row for row in look(child).types or ()}
    finally:
        gc.unfreeze()
        gc.enable()
    row = rows[f"{__name__}.Mark"]
    assert (row.objects, row.copied_objects, row.counted) == (30_000, 30_000, 30_000)


def test_going_through_the_objects_copies_none() -> None:
    """A second look finds nearly all objects on pages that are shared still: the walk was elsewhere."""
    gc.disable()
    try:
        marks = [Mark() for _ in range(100_000)]
        with held(lambda: None) as child:
            look(child)
            rows = {row.name: row for row in look(child).types or ()}
    finally:
        gc.enable()
    found = rows.get(f"{__name__}.Mark")
    assert found is None or found.copied_objects < len(marks) / 10


def test_no_collection_touches_what_is_frozen() -> None:
    """gc.freeze() before the clone call keeps the pages of objects shared when the child collects."""
    code = """if True:
        import gc, os, sys, ramet
        from ramet.observe import memory
        rows = [[number] for number in range(200_000)]
        gc.collect()
        if sys.argv[1] == "freeze":
            gc.freeze()
        (ready, tell), (wait, _) = os.pipe(), os.pipe()
        def collect():
            gc.collect()
            os.write(tell, b".")
            os.read(wait, 1)
        with ramet.clone(collect) as child:
            os.read(ready, 1)
            print(memory([child], types=False)[0].copied)
        """
    copied = [
        int(subprocess.run([sys.executable, "-c", code, how], stdout=-1, check=True).stdout)
        for how in ("leave", "freeze")
    ]
    assert copied[1] < copied[0] / 4


def nodes_after(work: Callable[[list[Node]], object]) -> TypeMemory:
    """What is said of 20,000 nodes, to which a child has done this."""
    gc.collect()
    gc.disable()
    try:
        nodes = [Node() for _ in range(20_000)]
        with held(lambda: work(nodes)) as child:
            rows = {row.name: row for row in look(child).types or ()}
    finally:
        gc.enable()
    row = rows[f"{__name__}.Node"]
    assert row.objects == 20_000
    return row


def refer(nodes: list[Node]) -> object:
    return list(nodes)


def refer_for_a_while(nodes: list[Node]) -> None:
    for _ in nodes:
        pass


def collect(_: list[Node]) -> None:
    gc.collect()


def free_half(nodes: list[Node]) -> None:
    """What the collector has of their neighbours refers to other ones then."""
    del nodes[::2]


def write_fields(nodes: list[Node]) -> None:
    for node in nodes:
        node.other = True


@pytest.mark.parametrize(
    ("work", "counted", "collected", "written"),
    [
        (refer, 20_000, 0, 0),
        (refer_for_a_while, 0, 0, 0),
        (collect, 0, 0, 0),
        (free_half, 10_000, 20_000, 10_000),
        (write_fields, 0, 0, 20_000),
    ],
)
def test_it_is_told_what_differs_in_the_objects(
    work: Callable[[list[Node]], object], counted: int, collected: int, written: int
) -> None:
    """Another count, other links of the collector, and another field are told apart; all copy the page."""
    if collected and sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("the collector of a free-threaded Python has no links")
    row = nodes_after(work)
    few = 500  # that the list's beginning and the measurement may have to do with
    assert row.copied_objects > 20_000 - few
    assert None not in {row.counted, row.collected, row.written}
    for seen, expected in (
        (row.counted, counted),
        (row.collected, collected),
        (row.written, written),
    ):
        assert abs((seen or 0) - expected) < few


@pytest.mark.parametrize("value", [1, 2])
def test_pages_with_the_same_values_were_copied_for_nothing(value: int, big: Big) -> None:
    """A page that was written to and has the value that it had is told from one with another value."""
    with held(lambda: big.write(300, value)) as child:
        report = look(child)
    assert report.copied is not None
    assert report.same_values is not None
    same, other = report.same_values, report.copied - report.same_values
    assert (same if value == 1 else other) >= 300 * PAGE
    assert (other if value == 1 else same) < BESIDE // 2


def test_types_are_told_where_contents_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right to read the memory it is not known what differs, and the report says why."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(memory.__globals__, "compared", refuse)
    with held(lambda: None) as child:
        report = look(child)
    assert report.types
    assert {(row.counted, row.collected, row.written) for row in report.types} == {(None,) * 3}
    assert report.same_values is None
    assert report.unknown == {"counts": "the contents may not be compared: Permission denied"}


# ---- who is compared with whom


def test_a_child_in_shared_memory_has_copied_nothing() -> None:
    """With VM there is one memory: all of it is shared."""
    with held(lambda: None, flags=F.VM) as child:
        report = look(child)
    assert report.same_memory
    assert (report.own, report.copied, report.origin) == (0, 0, os.getpid())
    assert report.shared == report.resident > 1 << 20
    assert "types" in report.unknown


def test_a_program_is_no_copy() -> None:
    """A program has its own memory, and the report says that there is nothing to compare it with."""
    with ramet.Command(["sleep", "1000"]).spawn() as child:
        until(
            lambda: not memory([child])[0].same_memory
        )  # spawn() comes back when it lets go of it
        (report,) = memory([child])
    assert (report.origin, report.copied, report.shared, report.types) == (None, None, None, None)
    assert report.resident >= report.own > 0
    assert {"origin", "types"} == report.unknown.keys()


def test_a_sibling_that_was_copied_is_found(big: Big) -> None:
    """With PARENT the origin is another child of the parent; named, it is the same."""
    (told, tell), (wait, let_go) = os.pipe(), os.pipe()

    def sibling() -> None:
        big.write(5)
        os.write(tell, b"%8d" % os.getpid())
        os.read(wait, 1)

    def template() -> None:
        big.write(PAGES)
        with ramet.clone(sibling, flags=F.PARENT, exit_signal=0):
            os.read(wait, 1)

    with ramet.clone(template) as origin:
        pid = int(os.read(told, 8))
        row = big.row_of(memory([pid], types=False, origin=origin)[0])
        stranger = memory([pid], types=False)[0]
        os.write(let_go, b"..")
        origin.wait(SECONDS)
    os.waitid(os.P_PID, pid, os.WEXITED | 0x40000000)
    for descriptor in (told, tell, wait, let_go):
        os.close(descriptor)
    assert (row.copied, row.shared) == (5 * PAGE, (PAGES - 5) * PAGE)
    assert (
        stranger.origin == os.getpid()
    )  # its parent is a copy's origin, too, but not the last one


def test_a_call_of_a_template_is_compared_with_it(nothing_left: object) -> None:
    """A template's child shares with the template; the types are told where the template is named."""
    with ramet.Template(preload=["decimal"], spares=1) as template:
        with template.clone(signal.pause) as child:
            by_itself = look(child)
            (named,) = memory([child], origin=template)
            (by_pid,) = memory([child.pid], origin=template.pid)
            (of_template,) = memory([template.pid])
        assert by_itself.origin == named.origin == by_pid.origin == template.pid
        assert of_template.origin is None  # a program, and no copy of its younger sibling
        assert (named.shared or 0) > (named.copied or 0) > 0
        assert {"str", "type"} <= {row.name for row in named.types or ()}
        assert by_itself.types is None
        assert f"no copy of process {os.getpid()}" in by_itself.unknown["types"]


def test_a_process_that_was_not_copied_from_the_origin_says_so() -> None:
    """What began with another exec is not compared."""
    with ramet.Command(["sleep", "1000"]).spawn() as program, held(lambda: None) as child:
        (report,) = memory([child], origin=program)
    assert report.origin is None
    assert f"process {program.pid} has ended, or did not begin with" in report.unknown["origin"]


# ---- what cannot be looked at


def test_one_that_has_ended_is_one_clear_error() -> None:
    """A zombie, a reaped child by its handle, and a pid of nobody are ESRCH."""
    child = ramet.clone(int)
    os.waitid(os.P_PIDFD, child.pidfd or 0, os.WEXITED | os.WNOWAIT)
    for task in (child, child.pid):
        with pytest.raises(ProcessLookupError, match=f"no process {child.pid}, or it has ended"):
            memory([task])
    child.wait(SECONDS)
    for task in (child, child.pid, 2**22 + 1):
        with pytest.raises(ProcessLookupError, match="or it has ended"):
            memory([task])
    with pytest.raises(ProcessLookupError), held(lambda: None) as other:
        memory([other], origin=child)


def test_it_is_no_copy_of_itself(nothing_left: object) -> None:
    """A process that is named as its own origin is not said to have ended."""
    with held(lambda: None) as child:
        (report,) = memory([child], origin=child, types=False)
    assert (report.origin, report.unknown) == (None, {"origin": "it is the process itself"})


def test_a_thread_of_the_kernel_has_no_memory() -> None:
    """The first of them is told as what it is."""
    if not shows_kthreadd():
        pytest.skip("needs to see kthreadd, which a pid namespace hides")
    with pytest.raises(ValueError, match="got 2, a thread of the kernel without memory"):
        memory([2])


def test_somebody_elses_process_may_not_be_read() -> None:
    """For a process of another user the error says what is needed."""

    def as_nobody() -> str:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try:
            memory([1])
        except PermissionError as error:
            return str(error)
        return "it was read"

    with ramet.clone(as_nobody) as child:
        assert "process 1 may not be read: expected a dumpable one of your own" in child.result(60)


@pytest.mark.parametrize(
    ("children", "error", "words"),
    [
        (5, TypeError, "invalid children: expected an iterable of pids or handles, got 5"),
        (["x"], TypeError, "expected a pid or an object with one, got 'x'"),
        ([True], TypeError, "expected a pid or an object with one, got True"),
        ([0], ValueError, "expected an int above 0, got 0"),
        ([-1], ValueError, "expected an int above 0, got -1"),
    ],
)
def test_bad_input_is_one_clear_error(
    children: object, error: type[Exception], words: str, nothing_left: object
) -> None:
    """What is no list of processes is told at once."""
    with pytest.raises(error, match=words):
        memory(children)  # type: ignore[arg-type]


def test_a_process_that_ends_meanwhile_is_gone(
    monkeypatch: pytest.MonkeyPatch, nothing_left: object
) -> None:
    """When a child ends while it is looked at, the report is an error, and not of zeros."""
    child = ramet.clone(signal.pause)
    compared = observed_pages._compared

    def end_it(here: bytes, there: bytes) -> bytes:
        child.kill()
        child.wait(SECONDS)
        return compared(here, there)

    monkeypatch.setattr(observed_pages, "_compared", end_it)
    with pytest.raises(ProcessLookupError, match=f"no process {child.pid}"):
        memory([child], types=False)


def test_an_origin_that_ends_meanwhile_is_none(
    monkeypatch: pytest.MonkeyPatch, nothing_left: object
) -> None:
    """When the origin ends while it is looked at, nothing is compared with what is left of it."""
    (told, tell), (wait, let_go) = os.pipe(), os.pipe()

    def copy_of_a_copy() -> None:
        os.write(tell, b"%8d" % os.getpid())
        os.read(wait, 1)

    def copy() -> None:
        ramet.clone(copy_of_a_copy).wait(SECONDS)

    origin = ramet.clone(copy)
    pid = int(os.read(told, 8))
    compared = observed_pages._compared

    def end_it(here: bytes, there: bytes) -> bytes:
        origin.kill()
        origin.wait(SECONDS)
        return compared(here, there)

    monkeypatch.setattr(observed_pages, "_compared", end_it)
    with ramet.Subreaper():
        (report,) = memory([pid], origin=origin.pid, types=False)
        os.write(let_go, b".")
        os.waitid(os.P_PID, pid, os.WEXITED)
    for descriptor in (told, tell, wait, let_go):
        os.close(descriptor)
    assert (report.origin, report.copied) == (None, None)
    assert report.own > 0


def test_none_are_no_error() -> None:
    """No children give no reports."""
    assert memory([]) == []
