"""One request for a task, put to the kernel by either of its two calls."""

import errno
import functools
import os
import signal
import sys
from collections.abc import Callable
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from .. import _core
from .._core import Plan, SharedTask, Stack, TidWord
from .._kernel.clone_args import SIZES, Address, CloneArgs, asked_of, require_size
from .._kernel.clone_bits import (
    CHILD_WORD,
    CLEAR_SIGHAND,
    DETACHED,
    HANDLERS,
    INTO_CGROUP,
    NEWTIME,
    PARENT,
    PARENT_SETTID,
    PIDFD,
    PTRACE,
    SETTLS,
    STOPPED,
    THREAD,
    VFORK,
    VM,
)
from .._preflight.quick_check import check, own_refusal, refusal
from ..errors import CloneError
from .memory_sharers import add_sharer
from .tree import subreaper

if TYPE_CHECKING:
    from array import array

    from ..law import Call

Function: TypeAlias = Callable[[Any], int | None]

_32_BITS = (1 << 32) - 1
_NO_DESCRIPTOR = -1

# A free-threaded Python takes its global lock for ramet._core and keeps it, unless it was told not to.
_GIL_IS_OFF = sys.version_info >= (3, 13) and not sys._is_gil_enabled()


def call(
    args: CloneArgs,
    fn: Function | Address | None,
    arg: Any,
    *,
    legacy: bool,
    size: int = SIZES[-1],
    kept: object = None,
    host_stack_size: int = 0,
    asked: int | None = None,
) -> tuple[int, SharedTask | None]:
    """Make the task: (pid, its host thread), and (0, None) in a child that returns twice.

    asked: the flags as the caller has said them, for an error, where the library has added some.
    What the law knows to be wrong is refused before the kernel is asked, and what the kernel
    refuses is explained.
    Needs: what the flags need.
    Source: clone(2).
    """
    flags = index(args.flags)
    name = call_name(legacy)
    check(flags, args.exit_signal, name, asked)
    if flags & VM and callable(fn):
        _require_gil(flags)
    if args.pidfd is None and flags & PIDFD:
        args.pidfd = TidWord(_NO_DESCRIPTOR)
    _require_words(args, flags)
    block = args.block()
    require_size(block, size)
    stack = args.stack if isinstance(args.stack, Stack) else None
    if stack is not None and stack.in_use:
        raise ValueError(f"{stack!r} is in use: another task may be on it")
    words = tuple(w for w in (args.child_tid, args.parent_tid) if isinstance(w, TidWord))
    stopped = bool(flags & STOPPED)
    try:
        pid, task = _core.clone(
            block.packed,
            size,
            legacy,
            stopped,
            fn,
            arg,
            kept,
            stack,
            words,
            host_stack_size,
        )
    except OSError as error:
        fields = asked_of(args, block, name, size)
        raise refusal(error, flags, args.exit_signal, name, asked, **fields) from None
    subreaper.note(pid)
    if task is not None:
        add_sharer(task, flags)
    return pid, task


def _require_gil(flags: int) -> None:
    if _GIL_IS_OFF:
        raise own_refusal("ramet-no-gil", flags)


class Way(NamedTuple):
    """How a request is put to the kernel."""

    flags: int
    exit_signal: int
    legacy: bool
    stopped: bool


class Further(NamedTuple):
    """What few ask for of a task in shared memory, as the core takes it.

    set_tid: the pids, the innermost namespace's first. cgroup: a descriptor of the directory, with
    INTO_CGROUP. stack_size: in bytes, 0 for libc's default. timeout: in seconds, after which a child
    beside its caller is killed. another_user: whether it will have other rights; that user may not
    look into our memory while it lives, and we may again when it is over. own_interpreter:
    whether it has one; then fn is the code that runs there, arguments are the memory that it sees, plan
    is what it does first, and the outcome lies in that memory.
    """

    set_tid: "array[int] | None" = None
    cgroup: int = 0
    stack_size: int = 0
    timeout: float | None = None
    another_user: bool = False
    own_interpreter: bool = False
    plan: Plan | None = None


def share(
    child: _core.Handle,
    flags: int,
    exit_signal: int,
    fn: Callable[..., object] | bytes,
    arguments: tuple[object, ...],
    further: Further | None = None,
) -> bool:
    """Make a task in shared memory that calls ``fn(*arguments)``; the handle stands for it.

    The task of the handle has the outcome. The other arguments are those of CloneArgs.
    Returns whether the child suspended its caller, has been reaped, and ended with losses.
    Needs: what the flags need.
    Source: clone(2), vfork(2), pidfd_open(2).
    """
    _require_gil(flags)
    if flags & INTO_CGROUP and further is None:
        raise _no_cgroup()
    chooses_pid = further is not None and further.set_tid is not None
    way = _way_to_share(
        flags, exit_signal, chooses_pid, _core.has_clone3(), _core.has_clear_sighand()
    )
    try:
        lost = _core.share(child, *way, fn, arguments, further)
    except OSError as error:
        fields = _shared_fields(way, flags, further)
        refused = refusal(error, way.flags, way.exit_signal, call_name(way.legacy), flags, **fields)
        if error.filename is not None or not _thread_without_pidfd(refused, flags):
            raise refused from None
        way = way._replace(flags=way.flags & ~PIDFD)
        lost = _core.share(child, *way, fn, arguments, further)
    if subreaper.blocks:
        subreaper.note(child.pid)
    if not flags & VFORK:
        add_sharer(cast(SharedTask, child._task), flags)
    return lost


def _shared_fields(way: Way, flags: int, further: Further | None) -> dict[str, Any]:
    if way.legacy:
        return {}
    fields: dict[str, Any] = {"size": SIZES[-1]}
    if further is not None and further.set_tid is not None:
        fields["set_tid"] = tuple(further.set_tid)
    if further is not None and flags & INTO_CGROUP:
        fields["cgroup"] = further.cgroup
    return fields


# A program makes the same request again and again, and the answer depends on it alone.
@functools.lru_cache(maxsize=256)
def _way_to_share(
    flags: int, exit_signal: int, chooses_pid: bool, has_clone3: bool, can_clear: bool
) -> Way:
    legacy = _by_clone(flags, chooses_pid, has_clone3)
    check(flags, exit_signal, call_name(legacy))
    if not legacy and not flags & HANDLERS and can_clear:
        # Python's handlers act on the memory that is shared: they must not run in the child.
        flags |= CLEAR_SIGHAND
    if not flags & DETACHED and not _is_reaped_at_birth(flags):
        flags |= PIDFD
    return Way(flags & ~STOPPED, exit_signal, legacy, bool(flags & STOPPED))


def copy(
    child: _core.Handle,
    outcome: _core.Mapping,
    args: CloneArgs | None,
    fn: Callable[..., object],
    arguments: tuple[object, ...],
) -> None:
    """Make a task with a memory of its own that calls ``fn(*arguments)``; the handle stands for it.

    args: None for what libc's own fork() does. outcome: where that of the function is to lie.
    Needs: what the flags need.
    Source: fork(2), clone(2), pidfd_open(2).
    """
    if args is None:
        try:
            _core.copy(child, outcome, None, fn, arguments)
        except OSError as error:
            raise refused_fork(error) from None
    else:
        _copy_as_asked(child, outcome, args, fn, arguments)
    if subreaper.blocks:
        subreaper.note(child.pid)


def _copy_as_asked(
    child: _core.Handle,
    outcome: _core.Mapping,
    args: CloneArgs,
    fn: Callable[..., object],
    arguments: tuple[object, ...],
) -> None:
    asked = index(args.flags)
    legacy = is_by_clone(args)
    flags = args.flags = asked | (PIDFD if can_have_pidfd(asked, legacy) else 0)
    name = call_name(legacy)
    check(flags, args.exit_signal, name, asked)
    _require_words(args, asked)
    block = args.block()
    request = block.packed, legacy, bool(flags & STOPPED)
    try:
        _core.copy(child, outcome, request, fn, arguments)
    except OSError as error:
        fields = asked_of(args, block, name)
        raise refusal(error, flags, args.exit_signal, name, asked, **fields) from None


def twice(args: CloneArgs) -> int:
    """Make a copy of this process that returns as well: its pid, and 0 in the copy itself.

    Needs: what the flags need.
    Source: fork(2), clone(2).
    """
    if not is_plain_fork(args):
        pid, _ = call(args, None, None, legacy=is_by_clone(args), asked=index(args.flags))
        if isinstance(args.pidfd, TidWord) and args.pidfd.value >= 0:
            os.close(args.pidfd.value)
        return pid
    try:
        pid = _core.fork()
    except OSError as error:
        raise refused_fork(error) from None
    if pid != 0:
        subreaper.note(pid)
    return pid


def refused_fork(error: OSError) -> OSError:
    """For what libc's fork() was refused."""
    return refusal(error, 0, signal.SIGCHLD, "clone")


def can_have_pidfd(flags: int, legacy: bool) -> bool:
    """DETACHED excludes it, and clone() has one word for it and the tid."""
    return not (flags & DETACHED or (legacy and flags & PARENT_SETTID))


def _thread_without_pidfd(error: OSError, flags: int) -> bool:
    """Before 6.9 a thread had no pidfd, and this is how such a kernel says so."""
    explained = isinstance(error, CloneError) and all(rule.id == "D8" for rule in error.rules)
    return error.errno == errno.EINVAL and bool(flags & THREAD) and explained


def _is_reaped_at_birth(flags: int) -> bool:
    """A suspended caller mostly finds its child at its end, and the core reaps what is its own."""
    return bool(flags & VFORK) and not flags & (THREAD | PARENT | PTRACE)


def is_by_clone(args: CloneArgs) -> bool:
    """Whether clone() must or may serve, see _by_clone."""
    return _by_clone(index(args.flags), args.set_tid is not None, _core.has_clone3())


def call_name(legacy: bool) -> "Call":
    """The call by its name, as the law has it."""
    return "clone" if legacy else "clone3"


def _by_clone(flags: int, chooses_pid: bool, has_clone3: bool) -> bool:
    """Whether clone() must or may serve: for DETACHED, and where clone3 is missing."""
    only_clone3 = flags & ~STOPPED & ~_32_BITS or flags & NEWTIME or chooses_pid
    if flags & DETACHED:
        if only_clone3:
            raise own_refusal("ramet-detached", flags)
        return True
    if has_clone3:
        return False
    if only_clone3:
        raise own_refusal("ramet-needs-clone3", flags)
    return True


def is_plain_fork(args: CloneArgs) -> bool:
    """What libc's own fork() does, with its handlers; it knows of no pidfd."""
    return (
        index(args.flags) == 0
        and args.exit_signal == signal.SIGCHLD
        and args.set_tid is None
        and args.stack is None
    )


def _require_words(args: CloneArgs, flags: int) -> None:
    """Each flag that names a word or an address needs it, and SETTLS alone uses tls."""
    if flags & PARENT_SETTID and args.parent_tid is None:
        raise ValueError("PARENT_SETTID needs a word for the parent (ptid)")
    if flags & CHILD_WORD and args.child_tid is None:
        raise ValueError("CHILD_SETTID and CHILD_CLEARTID need a word for the child (ctid)")
    if flags & SETTLS and args.tls is None:
        raise ValueError("SETTLS needs tls, the address for the child's thread register")
    if args.tls is not None and not flags & SETTLS:
        raise ValueError("tls is given without SETTLS, which alone uses it")
    if flags & INTO_CGROUP and args.cgroup is None:
        raise _no_cgroup()


def _no_cgroup() -> ValueError:
    return ValueError("INTO_CGROUP needs cgroup, the directory to be born in")
