"""One request for a task, put to the kernel by either of its two calls."""

import errno
import functools
import os
import signal
import sys
from array import array
from collections.abc import Callable, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, cast

from . import _core
from ._core import Plan, SharedTask, Stack, TidWord
from .clone_args import SIZES, Address, CloneArgs, asked_of, descriptor, require_size
from .errors import CloneError
from .flags import CloneFlag
from .granted import check, own_refusal, refusal
from .options import HasFileno
from .sharers import remember
from .tree import orphans
from .tree.birthplace import Birthplace

if TYPE_CHECKING:
    from .law import Call

Function: TypeAlias = Callable[[Any], int | None]

_32_BITS = (1 << 32) - 1
_NO_DESCRIPTOR = -1
_P_PIDFD = 3
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT | 0x40000000  # __WALL

# Plain integers: every birth passes here, and arithmetic with enum members costs ten times as much.
_NEWTIME = CloneFlag.NEWTIME.value
_PIDFD = CloneFlag.PIDFD.value
_THREAD = CloneFlag.THREAD.value
_PARENT = CloneFlag.PARENT.value
_PTRACE = CloneFlag.PTRACE.value
_SETTLS = CloneFlag.SETTLS.value
_PARENT_SETTID = CloneFlag.PARENT_SETTID.value
_CHILD_WORD = CloneFlag.CHILD_SETTID.value | CloneFlag.CHILD_CLEARTID.value
_DETACHED = CloneFlag.DETACHED.value
_INTO_CGROUP = CloneFlag.INTO_CGROUP.value
_VM = CloneFlag.VM.value
_VFORK = CloneFlag.VFORK.value
_CLEAR_SIGHAND = CloneFlag.CLEAR_SIGHAND.value
_HANDLERS = CloneFlag.SIGHAND.value | _CLEAR_SIGHAND
# The library's own, above bit 63: the kernel never sees it.
_STOPPED = CloneFlag.STOPPED.value
# Where the kernel writes: a clone with one of these needs a word, which only the low level takes.
WORDS = _PARENT_SETTID | _CHILD_WORD

# A free-threaded Python takes its global lock for ramet._core and keeps it, unless it was told not to.
_GIL_IS_OFF = sys.version_info >= (3, 13) and not sys._is_gil_enabled()


class Newborn(NamedTuple):
    """What a birth gives: the pid, its pidfd where there is one, the task if it shares the memory.

    ``ended``: the code and the status of waitid(2), and the rusage, if it has been reaped already.
    ``birthplace`` is the cgroup that was asked for.
    """

    pid: int
    pidfd: int | None
    task: SharedTask | None
    ended: tuple[int, int, bytes] | None = None
    birthplace: Birthplace | None = None


X = TypeVar("X")
H = TypeVar("H", bound=_core.Handle)


def call(
    args: CloneArgs,
    fn: Function | Address | None,
    arg: Any,
    *,
    legacy: bool,
    size: int = SIZES[-1],
    kept: object = None,
    carrier_stack_size: int = 0,
    asked: int | None = None,
) -> tuple[int, SharedTask | None]:
    """Make the task: (pid, its carrier), and (0, None) in a child that returns twice.

    asked: the flags as the caller has said them, for an error, where the library has added some.
    What the law knows to be wrong is refused before the kernel is asked, and what the kernel
    refuses is explained.
    Needs: what the flags need.
    Source: clone(2).
    """
    flags = index(args.flags)
    name = call_name(legacy)
    check(flags, args.exit_signal, name, asked)
    if flags & _VM and callable(fn):
        _require_gil(flags)
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
        fields = asked_of(args, block, name, size)
        raise refusal(error, flags, args.exit_signal, name, asked, **fields) from None
    orphans.note(pid)
    if task is not None:
        remember(task, flags)
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


def share(
    flags: int,
    exit_signal: int,
    fn: Callable[..., object] | bytes,
    arguments: tuple[object, ...],
    *,
    set_tid: Sequence[int] | None = None,
    cgroup: int | HasFileno | None = None,
    stack_size: int = 0,
    another_user: bool = False,
    timeout: float | None = None,
    apart: bool = False,
    plan: Plan | None = None,
) -> Newborn:
    """Make a task in shared memory that calls ``fn(*arguments)``; its task has the outcome.

    stack_size: in bytes, 0 for libc's default. another_user: whether it will have other rights; that
    user may not look into our memory while it lives, and we may again when it is over. timeout: in
    seconds, after which a child beside its caller is killed. apart: whether it has an interpreter
    of its own; then fn is the code of its far side, arguments are the memory that it sees, plan is
    what it does first, and the outcome lies in that memory. The other arguments are those of CloneArgs.
    Needs: what the flags need.
    Source: clone(2), pidfd_open(2).
    """
    _require_gil(flags)
    way = _way_to_share(
        flags, exit_signal, set_tid is not None, _core.has_clone3(), _core.has_clear_sighand()
    )
    pids = None if set_tid is None else array("i", set_tid)
    directory = descriptor(cgroup)

    def ask(way: Way) -> SharedTask:
        return _core.share(*way, pids, directory, stack_size, timeout, apart, plan, fn, arguments)

    birthplace = Birthplace.at_birth(directory) if flags & _INTO_CGROUP else None
    marks = another_user and _core.note_dumpable()
    try:
        task = _shared(ask, way, flags, _shared_fields(way, set_tid, cgroup, directory))
    except BaseException:
        if marks:
            _core.restore_dumpable()
        raise
    orphans.note(task.pid)
    if not flags & _VFORK:
        remember(task, flags, marks_memory=marks)
    elif marks:
        _core.restore_dumpable()
    return _newborn(task, flags, birthplace)


def share_plainly(
    kind: type[H],
    what: object,
    flags: int,
    exit_signal: int,
    fn: Callable[..., object],
    arguments: tuple[object, ...],
) -> H | Newborn:
    """share() of which no more is asked, for a process: mostly its handle, of that kind.

    what: the handle shows it as what the child runs. The other arguments are those of share().
    Needs: what the flags need.
    Source: clone(2), vfork(2).
    """
    _require_gil(flags)
    way = _way_to_share(flags, exit_signal, False, _core.has_clone3(), _core.has_clear_sighand())
    try:
        born = _core.share_plainly(kind, what, flags, *way, fn, arguments)
    except OSError as error:
        fields = _shared_fields(way, None, None, 0)
        raise refusal(
            error, way.flags, way.exit_signal, call_name(way.legacy), flags, **fields
        ) from None
    if orphans.blocks:
        orphans.note(born.pid)
    task = born if isinstance(born, SharedTask) else cast(SharedTask, born._task)
    if not flags & _VFORK:
        remember(task, flags)
    return _newborn(born, flags) if isinstance(born, SharedTask) else born


def _newborn(task: SharedTask, flags: int, birthplace: Birthplace | None = None) -> Newborn:
    pid, pidfd, ended = task.pid, task.pidfd, task.ended
    if pidfd is None and ended is None:
        pidfd = _opened_if_ours(pid) if flags & _VFORK else opened(pid)
    return Newborn(pid, pidfd, task, ended, birthplace)


def _shared(
    ask: Callable[[Way], SharedTask], way: Way, flags: int, fields: dict[str, Any]
) -> SharedTask:
    try:
        return ask(way)
    except OSError as error:
        refused = refusal(error, way.flags, way.exit_signal, call_name(way.legacy), flags, **fields)
        if error.filename is not None or not _thread_without_pidfd(refused, flags):
            raise refused from None
    return ask(way._replace(flags=way.flags & ~_PIDFD))


def _shared_fields(
    way: Way, set_tid: Sequence[int] | None, cgroup: object, directory: int
) -> dict[str, Any]:
    if way.legacy:
        return {}
    fields: dict[str, Any] = {"size": SIZES[-1]}
    if set_tid is not None:
        fields["set_tid"] = tuple(set_tid)
    if cgroup is not None:
        fields["cgroup"] = directory
    return fields


# A program makes the same request again and again, and the answer depends on it alone.
@functools.lru_cache(maxsize=256)
def _way_to_share(
    flags: int, exit_signal: int, chooses_pid: bool, has_clone3: bool, can_clear: bool
) -> Way:
    legacy = _by_clone(flags, chooses_pid, has_clone3)
    check(flags, exit_signal, call_name(legacy))
    if not legacy and not flags & _HANDLERS and can_clear:
        # Python's handlers act on the memory that is shared: they must not run in the child.
        flags |= _CLEAR_SIGHAND
    if not flags & _DETACHED and not _is_reaped_at_birth(flags):
        flags |= _PIDFD
    return Way(flags & ~_STOPPED, exit_signal, legacy, bool(flags & _STOPPED))


def give(args: CloneArgs, fn: Function | None) -> Newborn:
    """Make a task with a memory of its own by the call that can: clone3 with a pidfd, else clone.

    A ``pid`` of 0 is the child of a call that returns twice.
    Needs: what the flags need.
    Source: clone(2), pidfd_open(2).
    """
    if fn is None and is_plain_fork(args):
        return _forked()

    flags = index(args.flags)

    def make(request: CloneArgs, legacy: bool) -> tuple[int, SharedTask | None]:
        return call(request, fn, None, legacy=legacy, asked=flags)

    birthplace = _birthplace(args)
    if fn is None:  # no handle will come of it, which would need a descriptor
        pid, task = make(args, is_by_clone(args))
        word = args.pidfd.value if isinstance(args.pidfd, TidWord) else _NO_DESCRIPTOR
        return Newborn(pid, word if word >= 0 else None, task, birthplace=birthplace)
    pid, pidfd, task = _by_the_call_that_can(args, make)
    return Newborn(pid, pidfd, task, birthplace=birthplace)


def refused_fork(error: OSError) -> OSError:
    """For what libc's fork() was refused."""
    return refusal(error, 0, signal.SIGCHLD, "clone")


def _forked() -> Newborn:
    """A child of libc's own fork(), which takes no request and gives no pidfd."""
    try:
        pid = _core.fork()
    except OSError as error:
        raise refused_fork(error) from None
    if pid == 0:
        return Newborn(0, None, None)
    orphans.note(pid)
    return Newborn(pid, opened(pid), None)


def _birthplace(args: CloneArgs) -> Birthplace | None:
    if not index(args.flags) & _INTO_CGROUP or args.cgroup is None:
        return None
    return Birthplace.at_birth(descriptor(args.cgroup))


def _by_the_call_that_can(
    args: CloneArgs, make: Callable[[CloneArgs, bool], tuple[int, X]]
) -> tuple[int, int | None, X]:
    flags = index(args.flags)
    legacy = is_by_clone(args)
    if can_have_pidfd(flags, legacy):
        word = TidWord(_NO_DESCRIPTOR)
        args.flags, args.pidfd = flags | _PIDFD, word
        try:
            pid, more = make(args, legacy)
        except CloneError as error:
            if not _thread_without_pidfd(error, flags):
                raise
        else:
            # A kernel before 5.2 does not know the bit and leaves the word as it was.
            return pid, word.value if word.value >= 0 else opened(pid), more
        args.flags, args.pidfd = flags, None
    pid, more = make(args, legacy)
    return pid, opened(pid), more


def can_have_pidfd(flags: int, legacy: bool) -> bool:
    """DETACHED excludes it, and clone() has one word for it and the tid."""
    return not (flags & _DETACHED or (legacy and flags & _PARENT_SETTID))


def _thread_without_pidfd(error: OSError, flags: int) -> bool:
    """Before 6.9 a thread had no pidfd, and this is how such a kernel says so."""
    explained = isinstance(error, CloneError) and all(rule.id == "D8" for rule in error.rules)
    return error.errno == errno.EINVAL and bool(flags & _THREAD) and explained


def _is_reaped_at_birth(flags: int) -> bool:
    """A suspended caller mostly finds its child at its end, and the core reaps what is its own."""
    return bool(flags & _VFORK) and not flags & (_THREAD | _PARENT | _PTRACE)


def opened(pid: int) -> int | None:
    """A pidfd for a child made without one; nobody has reaped it yet, unless others wait for it."""
    if pid == 0:
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _opened_if_ours(pid: int) -> int | None:
    """The same, where somebody else may have reaped it and its pid may be another's by now."""
    pidfd = opened(pid)
    if pidfd is not None:
        try:
            _core.waitid(_P_PIDFD, pidfd, _LOOK)
        except ChildProcessError:
            os.close(pidfd)
            return None
    return pidfd


def is_by_clone(args: CloneArgs) -> bool:
    """Whether clone() must or may serve, see _by_clone."""
    return _by_clone(index(args.flags), args.set_tid is not None, _core.has_clone3())


def call_name(legacy: bool) -> "Call":
    """The call by its name, as the law has it."""
    return "clone" if legacy else "clone3"


def _by_clone(flags: int, chooses_pid: bool, has_clone3: bool) -> bool:
    """Whether clone() must or may serve: for DETACHED, and where clone3 is missing."""
    only_clone3 = flags & ~_STOPPED & ~_32_BITS or flags & _NEWTIME or chooses_pid
    if flags & _DETACHED:
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
