"""A limit on the memory of a call where no cgroup can be made."""

import ctypes
import itertools
import math
import mmap
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TypeAlias

import pytest

import ramet
from ramet import CloneFlag as F
from ramet._kernel import process_memory, procfs
from ramet._limits import resident_watch
from ramet._limits.memory import MemoryBudget
from ramet._limits.resident_watch import ResidentWatch, limit_data

from ...constants import SECONDS
from ...copies import forked
from ...kernels import KERNEL, file_system_of
from ...waiting import exit_code, until

pytestmark = pytest.mark.kernel

MEGABYTE = 1 << 20
BUDGET = 64 * MEGABYTE
LITTLE, MUCH = 32 * MEGABYTE, 128 * MEGABYTE
RESERVED = 40 * MEGABYTE  # for what a library of numbers does not touch, for each processor
# Before Linux 6.2 the kernel counted what a thread touched once in 64 faults: mm/memory.c, sync_mm_rss().
STEP = 64 * mmap.PAGESIZE if KERNEL < (6, 2) else 0
AROUND = 16  # pages of a file that one fault maps: mm/memory.c, do_fault_around()
EXIT = {"x86_64": 60, "aarch64": 93}[platform.machine()]  # of one thread: asm/unistd.h
PR_SET_DUMPABLE, MAP_NORESERVE = 4, 0x4000  # the latter is in mmap from Python 3.12 on
SLACK = 16 * MEGABYTE  # what Python itself touches meanwhile, in huge pages at times

Work: TypeAlias = Callable[[], object]


def _touched(size: int, kind: int = mmap.MAP_PRIVATE) -> mmap.mmap:
    """New memory, where an object might lie in what the allocator has in store."""
    held = mmap.mmap(-1, size, kind)
    _write(held)
    return held


def _write(memory: mmap.mmap) -> None:
    for place in range(0, len(memory), 4096):
        memory[place] = 1


class Call:
    """A child that does its work when it is told to, and stays until it is let go."""

    def __init__(self, work: Work) -> None:
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.settimeout(SECONDS)
        with theirs:
            self.pid = forked(lambda: self._serve(theirs, work))

    def _serve(self, theirs: socket.socket, work: Work) -> None:
        self.ours.close()
        theirs.recv(1)
        held = work()
        theirs.send(b"x")
        theirs.recv(1)
        del held

    def run(self) -> None:
        """Come back when the work is done."""
        self.ours.send(b"x")
        assert self.ours.recv(1) == b"x"


@contextmanager
def a_call(work: Work) -> Iterator[Call]:
    """Such a child, which is gone in the end."""
    call = Call(work)
    try:
        with call.ours:
            yield call
    finally:
        exit_code(call.pid)


@contextmanager
def a_watch(pid: int, template: int | None = None) -> Iterator[ResidentWatch]:
    """What a budget without a cgroup has for it."""
    watch = MemoryBudget(BUDGET).watch(pid, template)
    assert watch is not None
    try:
        yield watch
    finally:
        watch.close()


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(("size", "exceeds"), [(4096, False), (LITTLE, False), (MUCH, True)])
def test_what_a_call_touches(size: int, exceeds: bool) -> None:
    """It counts what is resident beyond the start."""
    with a_call(lambda: _touched(size)) as call, a_watch(call.pid) as watch:
        assert watch.excess() <= SLACK
        call.run()
        assert size - STEP <= watch.excess() <= size + SLACK
        assert watch.exceeds() is exceeds


@pytest.mark.usefixtures("nothing_left")
def test_where_proc_has_other_pids() -> None:
    """In the /proc of an outer pid namespace the call's pid is a stranger's."""

    def counted() -> int:
        with a_call(lambda: _touched(MUCH)) as call, a_watch(call.pid) as watch:
            call.run()
            return watch.excess()

    flags = F.NEWPID if os.geteuid() == 0 else F.NEWPID | F.NEWUSER
    assert MUCH - STEP <= ramet.clone(counted, flags=flags).result(SECONDS) <= MUCH + SLACK


@pytest.mark.usefixtures("nothing_left")
def test_memory_that_was_given_back() -> None:
    """It does not count any more."""
    with a_call(lambda: len(_touched(MUCH))) as call, a_watch(call.pid) as watch:
        call.run()
        assert watch.excess() <= SLACK


@pytest.mark.usefixtures("nothing_left")
def test_memory_that_it_shares_with_its_children() -> None:
    """Shared anonymous memory counts as its own does."""
    with a_call(lambda: _touched(MUCH, mmap.MAP_SHARED)) as call, a_watch(call.pid) as watch:
        call.run()
        assert watch.excess() >= MUCH - STEP


@pytest.mark.usefixtures("nothing_left")
def test_pages_of_a_file_do_not_count() -> None:
    """The kernel can drop what it can read again."""
    if file_system_of("/var/tmp") == "tmpfs":
        pytest.skip("/var/tmp is in memory")
    with tempfile.TemporaryFile(dir="/var/tmp") as file:
        file.truncate(MUCH)

        def work() -> mmap.mmap:
            memory = mmap.mmap(file.fileno(), MUCH, prot=mmap.PROT_READ)
            sum(memory[::4096])
            return memory

        with (
            a_call(work) as call,
            a_watch(call.pid) as watch,
            closing(process_memory.ResidentSize(call.pid)) as resident,
        ):
            before = resident.bytes()
            call.run()
            assert resident.bytes() - before >= MUCH - AROUND * STEP
            assert watch.excess() <= SLACK


def test_nothing_is_closed_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread opens a file then, which has its number, and says anything."""
    size = process_memory.ResidentSize(os.getpid())
    closed = threading.Event()
    pread = os.pread

    def close() -> None:
        size.close()
        closed.set()

    closer = threading.Thread(target=close)

    def read(descriptor: int, count: int, offset: int) -> bytes:
        closer.start()
        assert not closed.wait(0.1)
        return pread(descriptor, count, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", read)
        assert size.bytes() > 0
    closer.join(SECONDS)
    assert closed.is_set()
    assert size.bytes() == 0


@pytest.mark.usefixtures("nothing_left")
def test_what_descendants_have() -> None:
    """What a grandchild's child has of its own counts; what it shares with its parents counts once."""
    said, says = socket.socketpair()

    def work() -> mmap.mmap:
        held = _touched(LITTLE)
        until_call_ends, open_in_call = os.pipe()

        def deepest() -> None:
            also = _touched(LITTLE)
            os.close(open_in_call)
            says.send(b"x")
            os.read(until_call_ends, 1)
            del also

        def between() -> None:
            pid = forked(deepest)
            os.close(open_in_call)
            os.waitpid(pid, 0)

        forked(between)
        return held

    with said, says, a_call(work) as call, a_watch(call.pid) as watch:
        call.run()
        said.settimeout(SECONDS)
        assert said.recv(1) == b"x"
        until(lambda: watch.excess() >= 2 * LITTLE)
        assert watch.excess() <= 2 * LITTLE + 2 * SLACK


def _await(sock: socket.socket) -> None:
    sock.settimeout(SECONDS)
    assert sock.recv(1) == b"x"


def _look_closely(watch: ResidentWatch) -> int:
    watch._next_close_look = 0.0
    return watch.excess()


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("is_first", [True, False])
def test_a_thread_that_outlives_the_first_one(is_first: bool) -> None:
    """The files of a first thread that has ended alone tell of nothing: those of another one count."""
    said, says = socket.socketpair()

    def go_on() -> None:
        held = _touched(MUCH)
        says.send(b"x")
        time.sleep(1000)
        del held

    def outlive() -> None:
        threading.Thread(target=go_on).start()
        ctypes.CDLL(None).syscall(EXIT)

    def work() -> None:
        if is_first:
            outlive()
        else:
            forked(outlive)

    with said, says, a_call(work) as call, a_watch(call.pid) as watch:
        call.ours.send(b"x")
        _await(said)
        first = call.pid if is_first else procfs.children(call.pid)[0]
        try:
            until(lambda: procfs.state(first) == "Z")
            assert _look_closely(watch) >= MUCH - STEP
            assert watch.exceeds()
        finally:
            os.kill(first, signal.SIGKILL)


@pytest.mark.usefixtures("nothing_left")
def test_descendants_that_are_not_dumpable() -> None:
    """What cannot be looked at counts as far as everyone may see it."""

    def look() -> None:
        if os.geteuid() == 0:  # root may look at all
            os.setresuid(65534, 65534, 65534)
            assert libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0
        with said, says, a_call(work) as call, a_watch(call.pid) as watch:
            call.run()
            _await(said)
            (hidden,) = procfs.children(call.pid)
            try:
                with pytest.raises(PermissionError):
                    process_memory.mapped(hidden)
                assert _look_closely(watch) >= MUCH - STEP
            finally:
                os.kill(hidden, signal.SIGKILL)

    def hide() -> None:
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        held = _touched(MUCH)
        says.send(b"x")
        time.sleep(1000)
        del held

    def work() -> None:
        forked(hide)

    said, says = socket.socketpair()
    libc = ctypes.CDLL(None)
    assert exit_code(forked(look)) == 0
    said.close()
    says.close()


def _share(held: mmap.mmap | None, until_end: int, says: socket.socket) -> None:
    """In a child: have it, and share it with a child of its own."""
    held = _touched(LITTLE) if held is None else held
    if os.fork() == 0:
        says.send(b"x")
        os.read(until_end, 1)
        os._exit(0)
    says.send(b"x")
    os.read(until_end, 1)
    os.wait()


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("of_call", [True, False])
def test_what_descendants_share(of_call: bool) -> None:
    """Each has its part of it: what is the call's counts once, what only they have counts as well."""
    said, says = socket.socketpair()
    until_end, end = os.pipe()

    def work() -> mmap.mmap | None:
        os.close(end)
        held = _touched(LITTLE) if of_call else None
        for _ in range(4):
            forked(lambda: _share(held, until_end, says))
        return held

    with said, says, a_call(work) as call, a_watch(call.pid) as watch:
        call.run()
        for _ in range(8):
            _await(said)
        try:
            excess = _look_closely(watch)
        finally:
            os.close(end)
            os.close(until_end)
        if of_call:
            assert LITTLE - STEP - SLACK <= excess <= LITTLE + SLACK
        else:
            # Less by a part of what this process has, which they share, too: some hundred MB in a long run.
            assert 2 * LITTLE <= excess <= 4 * LITTLE + 2 * SLACK


@pytest.mark.usefixtures("nothing_left")
def test_a_child_in_the_same_memory() -> None:
    """What vfork() has made has its parent's memory until its exec, and that counts once."""
    until_end, end = os.pipe()

    def work() -> object:
        os.close(end)
        held = _touched(LITTLE + SLACK)
        return held, ramet.clone(os.read, until_end, 1, flags=F.VM | F.FILES)

    with a_call(work) as call, a_watch(call.pid) as watch:
        call.run()
        until(lambda: procfs.children(call.pid))
        try:
            excess = _look_closely(watch)
        finally:
            os.close(end)
        # It may have given back meanwhile what it had before: a part of SLACK.
        assert LITTLE <= excess <= BUDGET
    os.close(until_end)


@pytest.mark.usefixtures("nothing_left")
def test_page_tables() -> None:
    """Those of a mapping of nothing but the page of zeros are in no count of its pages."""
    number, step = 40_000, 2 * MEGABYTE

    def work() -> mmap.mmap:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        held = mmap.mmap(-1, number * step, flags, mmap.PROT_READ)
        held.madvise(mmap.MADV_NOHUGEPAGE)
        sum(held[::step])
        return held

    with a_call(work) as call, a_watch(call.pid) as watch:
        watch._next_close_look = math.inf  # each look counts those of such a process
        call.run()
        tables = process_memory.page_table_bytes(call.pid)
        if tables < MUCH:
            pytest.skip("a page table has more than two megabytes here")
        assert MUCH <= watch.excess() <= tables + SLACK


class Template:
    """A process with memory of its own, which makes one call for this process and stays."""

    def __init__(self) -> None:
        """The call writes to that memory when it is told to."""
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.settimeout(SECONDS)
        with theirs:
            self.pid = forked(lambda: self._serve(theirs))
        self.call = int(self.ours.recv(100))

    def _serve(self, theirs: socket.socket) -> None:
        self.ours.close()
        held = _touched(MUCH)

        def work() -> None:
            if theirs.recv(1) == b"x":
                _write(held)
            else:
                for _ in range(3):
                    forked(lambda: theirs.recv(1))
            theirs.send(b"x")
            theirs.recv(1)

        call = forked(work, F.PARENT)
        theirs.send(f"{call}".encode())
        theirs.close()
        time.sleep(1000)

    def kill(self) -> None:
        """Kill the template alone."""
        os.kill(self.pid, signal.SIGKILL)
        assert exit_code(self.pid) == -signal.SIGKILL


@pytest.fixture
def template() -> Iterator[Template]:
    """One that is killed in the end, and whose call ends with the socket."""
    made = Template()
    yield made
    made.ours.close()
    if procfs.parent(made.pid) == os.getpid():
        made.kill()
    exit_code(made.call)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("is_known", [True, False])
def test_copies_of_the_templates_pages(template: Template, is_known: bool) -> None:
    """What the call has written to is its own then, and counts where the template is known to live."""
    with a_watch(template.call, template.pid if is_known else None) as watch:
        assert watch.excess() <= SLACK
        template.ours.send(b"x")
        assert template.ours.recv(1) == b"x"
        if is_known:
            until(watch.exceeds)
        else:
            assert watch.excess() <= SLACK


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("is_known", [True, False])
def test_the_templates_pages_in_descendants(template: Template, is_known: bool) -> None:
    """What they share with the template is not the call's."""
    with a_watch(template.call, template.pid if is_known else None) as watch:
        template.ours.send(b"f")
        assert template.ours.recv(1) == b"x"
        assert len(procfs.children(template.call)) == 3
        assert _look_closely(watch) <= SLACK
        watch.budget_bytes = 0  # so that all parts are looked at
        assert _look_closely(watch) <= SLACK


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("is_new", [True, False])
def test_copies_from_before(template: Template, is_new: bool) -> None:
    """They count, but for those of an earlier call in the same process."""
    template.ours.send(b"x")
    assert template.ours.recv(1) == b"x"
    watch = MemoryBudget(BUDGET).watch(template.call, template.pid, is_new=is_new)
    assert watch is not None
    watch._next_close_look = 0.0
    assert watch.exceeds() is is_new
    watch.close()


@pytest.mark.usefixtures("nothing_left")
def test_a_close_look_that_has_to_wait(template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside threads that are at work it takes long and costs little: the next one is not put off."""
    now = [0.0]

    def an_hour_later() -> float:
        now[0] += 3600
        return now[0]

    with a_watch(template.call, template.pid) as watch, monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", an_hour_later)
        patch.setattr(time, "thread_time", itertools.count(0.0, 1e-6).__next__)
        _look_closely(watch)
    assert watch._next_close_look - now[0] < resident_watch._LONGEST_PAUSE_SECONDS


@pytest.mark.usefixtures("nothing_left")
def test_the_end_of_the_template_is_no_excess(template: Template) -> None:
    """Pages of which the call has the only copy then were not made by the call."""
    with a_watch(template.call, template.pid) as watch:
        before = process_memory.mapped(template.call).written
        template.kill()
        assert process_memory.mapped(template.call).written - before >= MUCH
        watch._next_close_look = 0.0
        assert watch.excess() <= SLACK


@pytest.mark.usefixtures("nothing_left")
def test_private_memory(template: Template) -> None:
    """What a child has copied is its own; what it shares with the template is not."""
    before = process_memory.private_bytes(template.call)
    assert before < MUCH
    template.ours.send(b"x")
    assert template.ours.recv(1) == b"x"
    assert MUCH <= process_memory.private_bytes(template.call) - before <= MUCH + SLACK


@pytest.mark.usefixtures("nothing_left")
def test_a_call_that_has_ended() -> None:
    """It has nothing, also when it was reaped; and no watch can be made for it then."""
    with a_call(lambda: None) as call:
        watch = ResidentWatch(call.pid, BUDGET)
        call.run()
        call.ours.send(b"x")
        os.waitid(os.P_PID, call.pid, os.WEXITED | os.WNOWAIT)
        assert watch.excess() == 0
    assert watch.excess() == 0
    watch.close()
    watch.close()
    with pytest.raises(ProcessLookupError):
        ResidentWatch(call.pid, BUDGET)


def _use_one_processor() -> None:
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("error", "work"),
    [
        pytest.param(MemoryError, lambda: bytes(10 * MUCH), id="one object"),
        pytest.param(MemoryError, lambda: [str(i) for i in range(MUCH)], id="many objects"),
        pytest.param(OSError, lambda: mmap.mmap(-1, 10 * MUCH, mmap.MAP_PRIVATE), id="a mapping"),
    ],
)
def test_a_limit_on_data(error: type[Exception], work: Work) -> None:
    """What asks for more gets an exception, and the process goes on."""

    def limited() -> None:
        _use_one_processor()
        limit_data(BUDGET)
        with pytest.raises(error):
            work()
        assert len(_touched(LITTLE)) == LITTLE

    assert exit_code(forked(limited)) == 0


@pytest.mark.usefixtures("nothing_left")
def test_a_limit_on_data_can_be_taken_back() -> None:
    """The soft limit alone is set, and a lower one stays."""

    def limited() -> None:
        _use_one_processor()
        before = resource.getrlimit(resource.RLIMIT_DATA)
        assert limit_data(BUDGET) == before
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        assert hard == before[1]
        assert soft - BUDGET - RESERVED <= process_memory.data_bytes()
        limit_data(2 * BUDGET)
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == soft
        resource.setrlimit(resource.RLIMIT_DATA, before)
        assert len(_touched(MUCH)) == MUCH

    assert exit_code(forked(limited)) == 0


@pytest.mark.usefixtures("nothing_left")
def test_a_program_that_is_about_to_begin_has_the_callers_memory() -> None:
    """It counts from the exec, which the kernel tells of a moment before it is done."""
    end, ended = os.pipe()
    with ramet.clone(os.read, end, 1, flags=F.VM | F.FILES) as child:
        watch = ResidentWatch(child.pid, MEGABYTE, from_zero=True)
        assert watch.excess() == 0
        os.close(ended)
        child.result(SECONDS)
    os.close(end)
    watch.close()


@pytest.mark.usefixtures("nothing_left")
def test_a_program_that_has_begun_has_its_own() -> None:
    """All of it counts, also where it is the program that the caller runs."""
    with ramet.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        watch = ResidentWatch(process.pid, MEGABYTE, from_zero=True)
        until(watch.exceeds)
        watch.close()
        process.communicate(b"\n")


@pytest.mark.usefixtures("nothing_left")
def test_a_look_without_a_free_descriptor_is_no_error() -> None:
    """The own memory cannot be looked at beside then; the next look is as before."""
    with ramet.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        watch = ResidentWatch(process.pid, MEGABYTE, from_zero=True)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            watch.excess()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        until(watch.exceeds)
        watch.close()
        process.communicate(b"\n")
