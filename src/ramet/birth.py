"""One request for a task, put to the kernel by either of its two calls."""

import atexit
import errno
import os
import signal
import struct
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, overload

from . import _core, law
from ._core import Plan, SharedTask, Stack, TidWord
from .errors import CloneError
from .flags import CloneFlag

Function: TypeAlias = Callable[[Any], int | None]
Address: TypeAlias = int

SIZES = (64, 80, 88)
_LAYOUT = struct.Struct("=11Q")
_32_BITS = (1 << 32) - 1
_NO_DESCRIPTOR = -1

# Plain integers: every birth passes here, and arithmetic with enum members costs ten times as much.
_NEWTIME = CloneFlag.NEWTIME.value
_PIDFD = CloneFlag.PIDFD.value
_THREAD = CloneFlag.THREAD.value
_SETTLS = CloneFlag.SETTLS.value
_PARENT_SETTID = CloneFlag.PARENT_SETTID.value
_CHILD_WORD = CloneFlag.CHILD_SETTID.value | CloneFlag.CHILD_CLEARTID.value
_DETACHED = CloneFlag.DETACHED.value
_INTO_CGROUP = CloneFlag.INTO_CGROUP.value
# The library's own, above bit 63: the kernel never sees it.
_STOPPED = CloneFlag.STOPPED.value
# Where the kernel writes: a clone with one of these needs a word, which only the low level takes.
WORDS = _PARENT_SETTID | _CHILD_WORD


class HasFileno(Protocol):
    """Whatever names an open descriptor."""

    def fileno(self) -> int:
        """The descriptor."""


@dataclass
class CloneArgs:
    """The kernel's ``struct clone_args``, field by field.

    ``flags``: without the exit signal, which has a field of its own here. ``pidfd``,
    ``child_tid``, ``parent_tid``: a TidWord or an address; with PIDFD and no word given, one is
    made, and the descriptor is its value, yours to close. ``stack``: a Stack, or the lowest address
    with ``stack_size`` in bytes. ``tls``: an address. ``set_tid``: pids, the innermost namespace's
    first. ``cgroup``: a descriptor of a cgroup v2 directory.

    Source: clone(2), include/uapi/linux/sched.h.
    """

    flags: int = 0
    pidfd: TidWord | Address | None = None
    child_tid: TidWord | Address | None = None
    parent_tid: TidWord | Address | None = None
    exit_signal: int = 0
    stack: Stack | Address | None = None
    stack_size: int | None = None
    tls: Address | None = None
    set_tid: Sequence[int] | None = None
    cgroup: int | HasFileno | None = None

    def block(self) -> "Block":
        """The structure as the kernel reads it, and what it points to."""
        set_tid = array("i", self.set_tid) if self.set_tid is not None else _NO_PIDS
        stack, stack_size = self.stack_range()
        words = (
            index(self.flags) & ~_STOPPED,
            _address(self.pidfd),
            _address(self.child_tid),
            _address(self.parent_tid),
            index(self.exit_signal),
            stack,
            stack_size,
            self.tls or 0,
            set_tid.buffer_info()[0] if set_tid else 0,
            len(set_tid),
            _descriptor(self.cgroup),
        )
        try:
            return Block(_LAYOUT.pack(*words), words, set_tid)
        except struct.error:
            raise ValueError("a field of clone_args is negative or has more than 64 bits") from None

    def stack_range(self) -> tuple[int, int]:
        """The lowest address and the size in bytes, as the kernel wants them; 0, 0 for none."""
        if isinstance(self.stack, Stack):
            return self.stack.base, self.stack.size if self.stack_size is None else self.stack_size
        return self.stack or 0, self.stack_size or 0


_NO_PIDS = array("i")


class Block(NamedTuple):
    """A packed ``struct clone_args``; ``set_tid`` keeps alive what it points to."""

    packed: bytes
    fields: tuple[int, ...]
    set_tid: "array[int]"


class Newborn(NamedTuple):
    """What a birth gives: the pid, its pidfd where there is one, and its carrier if it has one."""

    pid: int
    pidfd: int | None
    task: SharedTask | None


class Failure(NamedTuple):
    """The step of a plan that failed in the child, and its errno."""

    step: str
    errno: int


X = TypeVar("X")


def require_size(block: Block, size: int) -> None:
    """Refuse a version of the structure that cannot hold the fields in use."""
    if size not in SIZES:
        raise ValueError(f"clone_args has {', '.join(map(str, SIZES))} bytes, not {size}")
    if any(block.fields[size // 8 :]):
        raise ValueError(f"a field beyond byte {size} is set: it needs a larger clone_args")


def call(
    args: CloneArgs,
    fn: Function | Address | None,
    arg: Any,
    *,
    legacy: bool,
    by_fork: bool = False,
    size: int = SIZES[-1],
    kept: object = None,
    carrier_stack_size: int = 0,
) -> tuple[int, SharedTask | None]:
    """Make the task: (pid, its carrier), and (0, None) in a child that returns twice.

    What the law knows to be wrong is refused before the kernel is asked, and what the kernel
    refuses is explained.
    Needs: what the flags need.
    Source: clone(2).
    """
    flags = index(args.flags)
    name: law.Call = "clone" if legacy else "clone3"
    law.check(flags, args.exit_signal, name)
    if args.pidfd is None and flags & _PIDFD:
        args.pidfd = TidWord(_NO_DESCRIPTOR)
    _require_words(args, flags)
    block = args.block()
    require_size(block, size)
    stack = args.stack if isinstance(args.stack, Stack) else None
    if stack is not None and stack.in_use:
        raise ValueError(f"{stack!r} is in use: another task may be on it")
    words = tuple(w for w in (args.child_tid, args.parent_tid) if isinstance(w, TidWord))
    stopped = bool(flags & _STOPPED)
    try:
        pid, task = _core.clone(
            block.packed,
            size,
            by_fork,
            legacy,
            stopped,
            fn,
            arg,
            kept,
            stack,
            words,
            carrier_stack_size,
        )
    except OSError as error:
        raise law.refusal(error.errno or 0, flags, args.exit_signal, name) from None
    if task is not None:
        _remember(Sharer(task, pid, os.getpid(), bool(flags & _THREAD)))
    return pid, task


class Sharer(NamedTuple):
    """A task that uses this process's memory, and who made it."""

    task: SharedTask
    pid: int
    maker: int
    is_thread: bool


_sharers: list[Sharer] = []


def _remember(sharer: Sharer) -> None:
    """Keep it until it is over, whoever holds its handle; now and then those that are over go."""
    if len(_sharers) & (len(_sharers) - 1) == 0:  # at each power of two, so seldom
        _sharers[:] = [other for other in _sharers if not other.task.done]
    _sharers.append(sharer)


@atexit.register
def _end_sharers() -> None:
    """No task may use the memory of an interpreter that ends: kill them, and wait for threads.

    A thread cannot be killed alone; that the exit waits for it is what threading does, too.
    """
    me = os.getpid()
    for task, pid, maker, is_thread in _sharers:
        if maker != me or task.done:
            continue
        if not is_thread:
            _core.kill_sharer(pid, -1)
        task.wait(None)


def give(
    args: CloneArgs,
    fn: Function | None,
    *,
    kept: object = None,
    carrier_stack_size: int = 0,
) -> Newborn:
    """Make the task by the call that can: clone3 with a pidfd, else clone, else say what is needed.

    A ``pid`` of 0 is the child of a call that returns twice.
    Needs: what the flags need.
    Source: clone(2), pidfd_open(2).
    """

    def make(asked: CloneArgs, legacy: bool) -> tuple[int, SharedTask | None]:
        return call(
            asked,
            fn,
            None,
            legacy=legacy,
            by_fork=_is_plain_fork(asked, index(asked.flags)),
            kept=kept,
            carrier_stack_size=carrier_stack_size,
        )

    pid, pidfd, task = _by_the_call_that_can(args, make)
    return Newborn(pid, pidfd, task)


def launch(args: CloneArgs, plan: Plan) -> tuple[Newborn, "Failure | None"]:
    """Make a task that carries out a plan: the child, and the step that failed, if one did.

    Needs: what the flags need.
    Source: clone(2), execve(2).
    """

    def make(asked: CloneArgs, legacy: bool) -> tuple[int, Failure | None]:
        flags = index(asked.flags)
        name: law.Call = "clone" if legacy else "clone3"
        law.check(flags, asked.exit_signal, name)
        try:
            pid, step, number = _core.spawn(
                asked.block().packed, legacy, bool(flags & _STOPPED), plan
            )
        except OSError as error:
            raise law.refusal(error.errno or 0, flags, asked.exit_signal, name) from None
        return pid, Failure(plan.step_name(step), number) if step >= 0 else None

    pid, pidfd, failure = _by_the_call_that_can(args, make)
    return Newborn(pid, pidfd, None), failure


def _by_the_call_that_can(
    args: CloneArgs, make: Callable[[CloneArgs, bool], tuple[int, X]]
) -> tuple[int, int | None, X]:
    flags = index(args.flags)
    legacy = _by_clone(args, flags)
    if _can_have_pidfd(args, flags, legacy):
        word = TidWord(_NO_DESCRIPTOR)
        args.flags, args.pidfd = flags | _PIDFD, word
        try:
            pid, more = make(args, legacy)
        except CloneError as error:
            if not _thread_without_pidfd(error, flags):
                raise
        else:
            # A kernel before 5.2 does not know the bit and leaves the word as it was.
            return pid, word.value if word.value >= 0 else _opened(pid), more
        args.flags, args.pidfd = flags, None
    pid, more = make(args, legacy)
    return pid, _opened(pid), more


def _can_have_pidfd(args: CloneArgs, flags: int, legacy: bool) -> bool:
    """DETACHED excludes it, clone() has one word for it and the tid, and libc's fork knows none."""
    if flags & _DETACHED or (legacy and flags & _PARENT_SETTID):
        return False
    return not _is_plain_fork(args, flags)


def _thread_without_pidfd(error: CloneError, flags: int) -> bool:
    """Before 6.9 a thread had no pidfd, and this is how such a kernel says so."""
    return error.errno == errno.EINVAL and bool(flags & _THREAD) and not error.rules


def _opened(pid: int) -> int | None:
    """A pidfd for a child made without one; nobody has reaped it yet, unless others wait for it."""
    if pid == 0:
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def kernel_clears_handlers(args: CloneArgs) -> bool:
    """Whether CLEAR_SIGHAND may be added to the request; else the child does it by hand."""
    return not _by_clone(args, index(args.flags)) and _core.has_clear_sighand()


def _by_clone(args: CloneArgs, flags: int) -> bool:
    """Whether clone() must or may serve: for DETACHED, and where clone3 is missing."""
    only_clone3 = flags & ~_STOPPED & ~_32_BITS or flags & _NEWTIME or args.set_tid is not None
    if flags & _DETACHED:
        if only_clone3:
            raise CloneError(
                errno.EINVAL, "DETACHED goes through clone(), the rest only clone3 takes"
            )
        return True
    if _core.has_clone3():
        return False
    if only_clone3:
        raise CloneError(
            errno.ENOSYS, "this needs clone3 (Linux 5.3), which is missing here or filtered"
        )
    return True


def _is_plain_fork(args: CloneArgs, flags: int) -> bool:
    """What libc's own fork() does, with its handlers; it knows of no pidfd."""
    return (
        flags == 0
        and args.exit_signal == signal.SIGCHLD
        and args.set_tid is None
        and args.stack is None
    )


def _require_words(args: CloneArgs, flags: int) -> None:
    """Each flag that names a word or an address needs it, and SETTLS alone uses tls."""
    if flags & _PARENT_SETTID and args.parent_tid is None:
        raise ValueError("PARENT_SETTID needs a word for the parent (ptid)")
    if flags & _CHILD_WORD and args.child_tid is None:
        raise ValueError("CHILD_SETTID and CHILD_CLEARTID need a word for the child (ctid)")
    if flags & _SETTLS and args.tls is None:
        raise ValueError("SETTLS needs tls, the address for the child's thread register")
    if args.tls is not None and not flags & _SETTLS:
        raise ValueError("tls is given without SETTLS, which alone uses it")
    if flags & _INTO_CGROUP and args.cgroup is None:
        raise ValueError("INTO_CGROUP needs cgroup, the directory to be born in")


@overload
def _address(word: None) -> int: ...
@overload
def _address(word: TidWord | Address) -> int: ...
def _address(word: TidWord | Address | None) -> int:
    if isinstance(word, TidWord):
        return word.address
    if not isinstance(word, int | None):
        raise TypeError(f"a word is a TidWord or an address, not {type(word).__name__}")
    return word or 0


def _descriptor(file: int | HasFileno | None) -> int:
    if file is None:
        return 0
    if isinstance(file, int):
        return file
    if not hasattr(file, "fileno"):
        raise TypeError(f"cgroup is a descriptor or has fileno(), not {type(file).__name__}")
    return file.fileno()
