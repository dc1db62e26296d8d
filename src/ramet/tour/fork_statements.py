"""What the book says of fork() and vfork()."""

import ctypes
import mmap
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import ramet
from ramet import CloneFlag, lowlevel

from .debugger import Event, Trace, debug
from .kinship import have_undo_list, in_words, shared_by
from .memory import Page, counters_of, mapping_of, pages_of, stack_pointer
from .probes import PATIENCE_SECONDS, exit_code, proc_stat
from .row import Row, Seen, verdict
from .scene import Body, become_program, caller_and_child

_GROUP = "fork and vfork"
_EXIT_SIGNAL_FIELD = 38
_STACK_BYTES = 256 * 1024


# ---- K1


class Likeness(NamedTuple):
    """What can be seen of a child from outside."""

    exit_signal: int
    shared: tuple[str, ...] | None
    own_process: bool


def _by_fork() -> int:
    return ramet.fork()


def _by_clone() -> int:
    return lowlevel.clone3(lowlevel.CloneArgs(exit_signal=signal.SIGCHLD))


def _likeness(returns_twice: Callable[[], int]) -> Likeness:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pid = returns_twice()
        if pid == 0:
            ours.close()
            theirs.recv(1)
            os._exit(0)
        seen = Likeness(
            int(proc_stat(pid, _EXIT_SIGNAL_FIELD)),
            shared_by(pid, os.getpid()),
            int(proc_stat(pid, 4)) == os.getpid(),
        )
        ours.sendall(b"!")
    exit_code(pid)
    return seen


def _fork_is_clone() -> Seen:
    have_undo_list()
    without, with_ = _likeness(_by_clone), _likeness(_by_fork)
    return Seen(
        without=f"clone(SIGCHLD): {_likeness_told(without)}",
        with_=f"fork(): {_likeness_told(with_)}",
        verdict=verdict(
            with_ == without
            and (with_.exit_signal, with_.own_process) == (signal.SIGCHLD, True)
            and not with_.shared
        ),
        detail="libc adds CHILD_SETTID and CHILD_CLEARTID, for its own tid word",
    )


def _likeness_told(seen: Likeness) -> str:
    name = signal.Signals(seen.exit_signal).name
    return f"exit signal {name}, {in_words(seen.shared)}"


# ---- K2


class Pointers(NamedTuple):
    """The stack pointers of a caller in its call, and of its child before the first step."""

    caller: int
    child: int


def _pointers(trace: Trace[Any]) -> Pointers:
    """At the first reported clone call."""
    caller = next(stop for stop in trace.stops if stop.event is not None)
    child = next(stop for stop in trace.stops if stop.pid != caller.pid)
    return Pointers(caller.stack_pointer, child.stack_pointer)


def _fork_and_wait() -> None:
    pid = ramet.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _clone_and_wait(stack: lowlevel.Stack) -> None:
    exit_code(lowlevel.clone(lambda _: 0, None, signal.SIGCHLD, stack))


def _fork_keeps_stack_pointer() -> Seen:
    stack = lowlevel.Stack(_STACK_BYTES)
    forked = _pointers(debug(_fork_and_wait, [Event.FORK]))
    cloned = _pointers(debug(lambda: _clone_and_wait(stack), [Event.FORK]))
    return Seen(
        without=_clone_told(cloned, stack),
        with_=f"fork(): child's stack pointer {forked.child:#x}, caller's {forked.caller:#x}",
        verdict=verdict(_lies_in(stack, cloned.child) and forked.child == forked.caller),
        detail="read before the child's first step; a child_stack of 0 keeps the caller's",
    )


def _lies_in(stack: lowlevel.Stack, pointer: int) -> bool:
    return stack.base < pointer <= stack.top


def _clone_told(pointers: Pointers, stack: lowlevel.Stack) -> str:
    place = "in the given block" if _lies_in(stack, pointers.child) else "outside the given block"
    return (
        f"clone() with a stack: child's stack pointer {pointers.child:#x}, {place}; "
        f"caller's {pointers.caller:#x}"
    )


# ---- K3

_PAGES = 8
_CHILDS_PAGE, _CALLERS_PAGE = 3, 5


def copied(caller: list[Page], child: list[Page]) -> list[int]:
    """Which of the pages have different frames on the two sides; a frame of 0 is one that is not shown."""
    return [number for number, pair in enumerate(zip(caller, child, strict=True)) if _differ(*pair)]


def _differ(caller: Page, child: Page) -> bool:
    if caller.frame and child.frame:
        return caller.frame != child.frame
    return caller.present and child.present and caller.exclusive and child.exclusive


class Block:
    """A few pages of private memory, all written to, in a separate mapping."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, _PAGES * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        # This keeps it from being merged with its neighbours into one mapping.
        self._map.madvise(mmap.MADV_DONTDUMP)
        with suppress(OSError):  # no kernel has to know of huge pages
            self._map.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(_PAGES):
            self.write(page)
        self.length = len(self._map)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def write(self, page: int) -> None:
        """Change one byte in one page."""
        place = page * mmap.PAGESIZE
        self._map[place] = (self._map[place] + 1) % 256

    def copied(self, child: int) -> list[int]:
        """The pages that this process and its child no longer share."""
        mine, its = (pages_of(pid, self.address, self.length) for pid in (os.getpid(), child))
        return copied(mine, its)

    def counters(self, child: int) -> tuple[int, int]:
        """The KiB of it that smaps counts as shared, and as private, in the child."""
        counters = counters_of(child, self.address)
        return (
            counters["Shared_Clean"] + counters["Shared_Dirty"],
            counters["Private_Clean"] + counters["Private_Dirty"],
        )

    def shows_frames(self) -> bool:
        """Whether this user may read frame numbers."""
        return any(page.frame for page in pages_of(os.getpid(), self.address, self.length))


@contextmanager
def _writer(block: Block) -> Iterator[tuple[int, Callable[[], None]]]:
    """A child with a copy of the block: its pid, and a function that makes it write into its page."""
    ours, theirs = socket.socketpair()

    def write_when_told() -> None:
        ours.close()
        while theirs.recv(1):
            block.write(_CHILDS_PAGE)
            theirs.sendall(b"!")

    def tell() -> None:
        ours.sendall(b"!")
        ours.recv(1)

    with ours, theirs, ramet.clone(write_when_told) as child:
        ours.settimeout(PATIENCE_SECONDS)
        theirs.close()
        yield child.pid, tell


def _stack_pages(child: int) -> tuple[int, int]:
    """How many pages of the caller's stack the child has, and how many of them are copies."""
    me = os.getpid()
    stack = mapping_of(me, stack_pointer(me))
    assert stack is not None
    length = stack.end - stack.start
    mine, its = (pages_of(pid, stack.start, length) for pid in (me, child))
    both = [mine.present and its.present for mine, its in zip(mine, its, strict=True)]
    return sum(both), len(copied(mine, its))


def _copy_on_write() -> Seen:
    block = Block()
    with _writer(block) as (child, tell_to_write):
        before, counted_before = block.copied(child), block.counters(child)
        tell_to_write()
        after, counted_after = block.copied(child), block.counters(child)
        block.write(_CALLERS_PAGE)
        last, counted_last = block.copied(child), block.counters(child)
        stack, stack_copied = _stack_pages(child)
    how = "frame numbers" if block.shows_frames() else "smaps and pagemap"
    whole, page = _PAGES * mmap.PAGESIZE // 1024, mmap.PAGESIZE // 1024
    return Seen(
        without=f"after the fork: {_copied_told(before)}, {counted_before[0]} KiB shared",
        with_=f"child writes to page {_CHILDS_PAGE}: {_copied_told(after)}; caller writes to page "
        f"{_CALLERS_PAGE}: {_copied_told(last)}; {counted_last[0]} KiB shared",
        verdict=verdict(
            (before, after, last) == ([], [_CHILDS_PAGE], [_CHILDS_PAGE, _CALLERS_PAGE])
            and counted_before == (whole, 0)
            and counted_after == (whole - page, page)
            and counted_last == (whole - 2 * page, 2 * page)
            and stack_copied > 0
        ),
        detail=f"by {how}; of {stack} pages of the stack {stack_copied} are copied: "
        "all memory is copied page by page",
    )


def _copied_told(pages: list[int]) -> str:
    if not pages:
        return f"none of {_PAGES} pages is copied"
    return f"page{'s' if len(pages) > 1 else ''} {' and '.join(map(str, pages))} copied"


# ---- K4


class Relation(NamedTuple):
    """A caller and its child, while the child lived."""

    suspended: bool
    shared: tuple[str, ...] | None
    exit_signal: int
    written: bool


MakeChild = Callable[[Body], "ramet.Child[object]"]


def _relation(make_child: MakeChild) -> Relation:
    def make(body: Body) -> "ramet.Child[object]":
        have_undo_list()
        return make_child(body)

    with caller_and_child(make) as scene:
        suspended = not scene.caller_goes_on
        shared = shared_by(scene.child, scene.caller)
        exit_signal = int(proc_stat(scene.child, _EXIT_SIGNAL_FIELD))
        scene.let_child_go()
    heap: list[str] = []
    with make_child(lambda: heap.append("child")) as child:
        child.wait(PATIENCE_SECONDS)
    return Relation(suspended, shared, exit_signal, written=bool(heap))


def _vfork_is_clone() -> Seen:
    forked = _relation(ramet.clone)
    vforked = _relation(ramet.vfork)
    cloned = _relation(lambda body: ramet.clone(body, flags=CloneFlag.VM | CloneFlag.VFORK))
    return Seen(
        without=f"fork(): {_relation_told(forked)}",
        with_=f"vfork(): {_relation_told(vforked)}",
        verdict=verdict(
            forked == Relation(False, _if_known(forked, ()), signal.SIGCHLD, written=False)
            and vforked
            == Relation(True, _if_known(vforked, ("memory",)), signal.SIGCHLD, written=True)
            and cloned == vforked
        ),
        detail="clone(VM|VFORK|SIGCHLD): "
        f"{'the same' if cloned == vforked else _relation_told(cloned)}; "
        "the library adds PIDFD, and CLEAR_SIGHAND, since Python's handlers must not run in the child",
    )


def _if_known(relation: Relation, shared: tuple[str, ...]) -> tuple[str, ...] | None:
    return None if relation.shared is None else shared


def _relation_told(seen: Relation) -> str:
    return (
        f"exit signal {signal.Signals(seen.exit_signal).name}, {in_words(seen.shared)}, the caller "
        f"{'is suspended' if seen.suspended else 'goes on'} and "
        f"{'sees' if seen.written else 'does not see'} what the child writes"
    )


# ---- K5


class Depths(NamedTuple):
    """Two stack pointers, and whether the caller resumes while a program runs."""

    caller: int
    child: int
    same_stack: bool
    back_at_exec: bool


def _depths(make_child: MakeChild) -> Depths:
    with caller_and_child(make_child, become_program) as scene:
        caller, child = _waiting_pointer(scene.caller), _waiting_pointer(scene.child)
        stack = mapping_of(scene.caller, caller)
        same_stack = stack is not None and child in stack
        came_back = scene.let_child_go()
        return Depths(caller, child, same_stack, came_back and scene.child_runs_program())


def _waiting_pointer(pid: int) -> int:
    """The stack pointer of a task that is about to wait, or does already."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return stack_pointer(pid)
        except ProcessLookupError:
            if time.monotonic() > deadline:
                raise
        os.sched_yield()


def _vfork_and_wait() -> None:
    ramet.vfork(_nothing).wait(PATIENCE_SECONDS)


def _nothing() -> None:
    pass


def _vfork_keeps_stack_pointer() -> Seen:
    stack = lowlevel.Stack(_STACK_BYTES)
    cloned = _pointers(debug(lambda: _clone_and_wait(stack), [Event.FORK]))
    made = _pointers(debug(_vfork_and_wait, [Event.VFORK]))
    later = _depths(ramet.vfork)
    below = later.caller - later.child
    return Seen(
        without=_clone_told(cloned, stack),
        with_=f"vfork(): child's stack pointer {made.child:#x}, caller's {made.caller:#x}; later "
        f"{below} bytes below the caller's, {'in' if later.same_stack else 'not in'} its stack",
        verdict=verdict(
            _lies_in(stack, cloned.child)
            and made.child == made.caller
            and below > 0
            and later.same_stack
            and later.back_at_exec
        ),
        detail=f"the caller {'resumes' if later.back_at_exec else 'does not resume'} at the exec; "
        "the child must not return from the frame that made the call",
    )


ROWS = (
    Row(
        "K1",
        _GROUP,
        "fork() is clone() with SIGCHLD and every clone flag clear",
        _fork_is_clone,
        "fork-flags",
    ),
    Row(
        "K2",
        _GROUP,
        "fork()'s child_stack is the parent's own stack pointer: at first both use one stack",
        _fork_keeps_stack_pointer,
        "fork-stack",
    ),
    Row(
        "K3",
        _GROUP,
        "copy-on-write: each has a copy of its own as soon as one of them changes the stack",
        _copy_on_write,
        "cow",
    ),
    Row(
        "K4",
        _GROUP,
        "vfork() is clone() with SIGCHLD, VM and VFORK",
        _vfork_is_clone,
        "vfork-flags",
    ),
    Row(
        "K5",
        _GROUP,
        "vfork()'s child_stack is the parent's own stack pointer",
        _vfork_keeps_stack_pointer,
        "vfork-stack",
    ),
)
