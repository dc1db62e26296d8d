"""What the kernel is asked for, decided in one place for every way to make a task."""

import functools
import signal
from operator import index
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, Unpack

from .. import _core
from .._core import Plan, Stack, TidWord
from .._kernel.clone_args import SIZES, CloneArgs, asked_of, require_size
from .._kernel.clone_bits import (
    CHILD_WORD,
    CLEAR_SIGHAND,
    DETACHED,
    FILES,
    HANDLERS,
    INTO_CGROUP,
    LOW_LEVEL,
    NEWPID,
    NEWTIME,
    PARENT,
    PARENT_SETTID,
    PIDFD,
    PTRACE,
    SETTLS,
    SIGHAND,
    STOPPED,
    THREAD,
    VFORK,
    VM,
)
from .._preflight.quick_check import check, own_refusal, refusal
from ..flags import LAST_SIGNAL, SIGNAL_BITS, CloneFlag, flag_bits

if TYPE_CHECKING:
    from ..law import Call

# A function with a memory of its own, or in the caller's; a program whose caller is suspended until it
# execs, or goes on; the same by a helper thread that is suspended.
Kind: TypeAlias = Literal["copy", "sharing", "program", "program beside", "program by helper"]

_32_BITS = (1 << 32) - 1
_AN_INIT_THAT_SHARES_HANDLERS = NEWPID | SIGHAND


class Further(TypedDict, total=False):
    """What few ask for of a task in shared memory, as the core takes it.

    stack_size: of the host thread, in bytes, 0 for libc's default. timeout: in seconds, after which a child
    beside its caller is killed. another_user: whether it will have other rights; that user may not
    look into our memory while it lives, and we may again when it is over. own_interpreter:
    whether it has one; then fn is the code that runs there, arguments are the memory that it sees, plan
    is what it does first, and the outcome lies in that memory.
    """

    stack_size: int
    timeout: float | None
    another_user: bool
    own_interpreter: bool
    plan: Plan | None


class Request:
    """One request for a task, packed once; ``core`` is what the core takes.

    flags: of the clone call, STOPPED among them. asked: as the caller has given them, for an error.
    """

    __slots__ = ("_block", "_further", "_size", "args", "asked", "core", "flags", "legacy")

    def __init__(
        self,
        args: CloneArgs,
        legacy: bool,
        asked: int | None = None,
        size: int = SIZES[-1],
        **further: Unpack[Further],
    ) -> None:
        self.args, self.legacy, self.asked = args, legacy, asked
        self._size, self._further = size, further
        self.flags = index(args.flags)
        _require_words(args, self.flags)
        self._block = args.block()
        require_size(self._block, size)
        self.core = _core.Request(
            self._block.packed,
            tuple(w for w in (args.child_tid, args.parent_tid) if isinstance(w, TidWord)),
            size=size,
            legacy=legacy,
            stopped=bool(self.flags & STOPPED),
            pids=self._block.set_tid,
            stack=args.stack if isinstance(args.stack, Stack) else None,
            **further,
        )

    def refusal(self, error: OSError) -> OSError:
        """What it means that the kernel, or a helper of the clone call, has refused it."""
        name = call_name(self.legacy)
        fields = asked_of(self.args, self._block, name, self._size)
        return refusal(error, self.flags, self.args.exit_signal, name, self.asked, **fields)

    def without_pidfd(self) -> "Request":
        """The same, but the kernel opens no pidfd."""
        import copy  # only kernels before 6.9 need it

        args = copy.copy(self.args)
        args.flags = self.flags & ~PIDFD
        return Request(args, self.legacy, self.asked, self._size, **self._further)


def request_for(
    args: CloneArgs, kind: Kind, *, shares_table: bool = False, **further: Unpack[Further]
) -> Request:
    """The request for a child of that kind, refused here if it breaks a rule of every kernel.

    args: not the caller's: its flags become those of the clone call. What Ramet adds to them or takes out
    is decided here, but for the flags of an address that only the core knows, see ramet_set_address().
    shares_table: whether the child shares the descriptor table until it has made one of its own.
    Raises CloneError; ValueError for what does not go together.
    """
    asked = index(args.flags) | (0 if args.cgroup is None else INTO_CGROUP)
    args.flags = asked | (FILES if shares_table else 0)
    legacy = is_by_clone(args)
    args.flags = _sharing(index(args.flags), kind, legacy)
    check(args.flags, args.exit_signal, call_name(legacy), asked)
    if args.flags & _AN_INIT_THAT_SHARES_HANDLERS == _AN_INIT_THAT_SHARES_HANDLERS:
        raise own_refusal("ramet-init-handlers", asked, args.exit_signal)
    if _has_pidfd(args.flags, kind, legacy):
        args.flags |= PIDFD
    return Request(args, legacy, asked, **further)


def _sharing(flags: int, kind: Kind, legacy: bool) -> int:
    if kind.startswith("program"):
        # The plan has a gate at which the child is stopped.
        flags = flags & ~(STOPPED | VFORK) | VM | (0 if kind == "program beside" else VFORK)
    if flags & VM and not legacy and not flags & HANDLERS and _core.has_clear_sighand():
        # Our handlers act on the memory that is shared: they must not run in the child.
        flags |= CLEAR_SIGHAND
    return flags


def _has_pidfd(flags: int, kind: Kind, legacy: bool) -> bool:
    if flags & DETACHED:  # which excludes it
        return False
    if legacy and (flags & PARENT_SETTID or kind in {"program beside", "program by helper"}):
        return False  # clone() has one argument for its address and the tid's, which is set then
    # The core reaps the child of a suspended caller.
    is_reaped = kind == "sharing" and flags & VFORK and not flags & (THREAD | PARENT | PTRACE)
    return not is_reaped


def cached_request(
    kind: Kind,
    flags: int,
    exit_signal: int,
    set_tid: tuple[int, ...] | None = None,
    cgroup: int | None = None,
    shares_table: bool = False,
) -> Request:
    """request_for(), once for all requests that ask for no more than this: 0.3 us instead of 10."""
    can = _core.has_clone3(), _core.has_clear_sighand()
    return _cached(kind, flags, exit_signal, set_tid, cgroup, shares_table, can)


@functools.lru_cache(maxsize=256)
def _cached(
    kind: Kind,
    flags: int,
    exit_signal: int,
    set_tid: tuple[int, ...] | None,
    cgroup: int | None,
    shares_table: bool,
    _can: tuple[bool, bool],
) -> Request:
    args = CloneArgs(flags, exit_signal=exit_signal, set_tid=set_tid, cgroup=cgroup)
    return request_for(args, kind, shares_table=shares_table)


def is_by_clone(args: CloneArgs) -> bool:
    """Whether clone() must or may serve: for DETACHED, and where clone3 is missing."""
    flags = index(args.flags)
    only_clone3 = flags & ~STOPPED & ~_32_BITS or flags & NEWTIME or args.set_tid is not None
    if flags & DETACHED:
        if only_clone3:
            raise own_refusal("ramet-detached", flags)
        return True
    if _core.has_clone3():
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
        and args.cgroup is None
        and args.stack is None
    )


def call_name(legacy: bool) -> "Call":
    """The call by its name, as the law has it."""
    return "clone" if legacy else "clone3"


def _require_words(args: CloneArgs, flags: int) -> None:
    """Each flag that names a word or an address needs it, and SETTLS alone uses tls."""
    if flags & PARENT_SETTID and args.parent_tid is None:
        raise ValueError(
            "invalid parent_tid (ptid): expected a word, since PARENT_SETTID is set; got None"
        )
    if flags & CHILD_WORD and args.child_tid is None:
        raise ValueError(
            "invalid child_tid (ctid): expected a word, since CHILD_SETTID or CHILD_CLEARTID is set; "
            "got None"
        )
    if flags & SETTLS and args.tls is None:
        raise ValueError("invalid tls: expected an address, since SETTLS is set; got None")
    if args.tls is not None and not flags & SETTLS:
        raise ValueError(f"invalid tls: expected None without SETTLS, got {args.tls}")
    if flags & INTO_CGROUP and args.cgroup is None:
        raise ValueError("invalid cgroup: expected a directory, since INTO_CGROUP is set; got None")


def _signal_number(exit_signal: int) -> int:
    if isinstance(exit_signal, bool) or not isinstance(exit_signal, int):
        # By int() 1.5 and "1" would be numbers, too.
        raise TypeError(
            f"invalid exit_signal: expected a number such as signal.SIGUSR1, got {exit_signal!r}"
        )
    return index(exit_signal)


def requested(flags: int, exit_signal: int | None = None) -> CloneArgs:
    """For a child with these flags, which may hold its exit signal."""
    number = None if exit_signal is None else _signal_number(exit_signal)
    wanted, signal_number = flags_and_signal(flag_bits(flags), number)
    return CloneArgs(flags=wanted, exit_signal=signal_number)


def needs_address(flags: int) -> ValueError:
    """For flags of which some take a word or an address."""
    of_low_level = CloneFlag(flags & LOW_LEVEL)
    return ValueError(
        f"invalid flags: {of_low_level} needs a word or an address, which ramet.lowlevel takes"
    )


@functools.lru_cache(maxsize=256)
def flags_and_signal(flags: int, exit_signal: int | None) -> tuple[int, int]:
    """The flags without the exit signal, and the exit signal, given there or by itself."""
    if flags < 0:
        raise ValueError(f"invalid flags: expected 0 or more, got {flags}")
    low = flags & SIGNAL_BITS
    if exit_signal is not None and low and exit_signal != low:
        raise ValueError(
            f"invalid exit_signal: expected {low}, as in the low bits of flags, got {exit_signal}"
        )
    if flags & LOW_LEVEL:
        raise needs_address(flags)
    if exit_signal is None:
        quiet = flags & (THREAD | PARENT)
        exit_signal = low or (0 if quiet else signal.SIGCHLD)
    if not 0 <= exit_signal <= LAST_SIGNAL:
        raise ValueError(f"invalid exit_signal: expected 0 to {LAST_SIGNAL}, got {exit_signal}")
    return flags & ~SIGNAL_BITS, exit_signal
