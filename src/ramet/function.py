"""A Python function in a new task: clone(), vfork(), fork()."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from operator import index
from typing import Any, TypeVar, TypeVarTuple

from . import birth
from .birth import CloneArgs, HasFileno
from .child import Child, sweep
from .errors import CloneError
from .flags import LAST_SIGNAL, CloneFlag
from .transfer import NOTHING, RAISED, VALUE, Transfer

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SIGNAL_BITS = 0x7F
_LEAST_STACK_BYTES = 256 * 1024
# Plain integers, as in birth.py.
_VM = CloneFlag.VM.value
_VFORK = CloneFlag.VFORK.value
_THREAD = CloneFlag.THREAD.value
_PARENT = CloneFlag.PARENT.value
_HANDLERS = CloneFlag.SIGHAND.value | CloneFlag.CLEAR_SIGHAND.value
_CLEAR_SIGHAND = CloneFlag.CLEAR_SIGHAND.value
_INTO_CGROUP = CloneFlag.INTO_CGROUP.value
_LOW_LEVEL = birth.WORDS | CloneFlag.SETTLS.value


class SharedOutcome:
    """The outcome of a function that shares the memory: the object itself."""

    def __init__(self) -> None:
        self._outcome: tuple[int, Any] = (NOTHING, None)

    def run(self, fn: Callable[[], object]) -> int:
        """In the child: call fn and keep what comes of it. Returns the exit code."""
        try:
            self._outcome = (VALUE, fn())
        except SystemExit:
            raise
        except BaseException as error:
            self._outcome = (RAISED, error)
            return 1
        return 0

    def take(self) -> tuple[int, Any]:
        """What it is (see transfer), and the value or the exception."""
        return self._outcome

    def close(self) -> None:
        """Let go of it."""
        self._outcome = (NOTHING, None)


def clone(
    fn: Callable[[*Ts], T],
    *args: *Ts,
    flags: int = 0,
    exit_signal: int | None = None,
    stack_size: int | None = None,
    set_tid: Sequence[int] | None = None,
    cgroup: int | HasFileno | str | os.PathLike[str] | None = None,
) -> Child[T]:
    """Run ``fn(*args)`` in a new task that shares what the flags say and nothing else: clone(2).

    flags: CloneFlag; its low bits may hold the exit signal, as in clone(2). exit_signal: the signal
    that this process gets at the child's end; SIGCHLD when nothing is said, 0 for none, and none
    for THREAD and PARENT. stack_size: in bytes, for a child that shares the memory; libc's default
    for threads when nothing is said. set_tid: the pids of the child, the innermost namespace's
    first. cgroup: a cgroup v2 directory, by path or descriptor, in which the child is born.

    Returns a Child, which is the caller's: wait for it, or use it as a context manager.

    Without VM the child has a copy of the memory, and the result is copied back; with VM it shares
    the memory, and the result is the object itself. Such a child should leave no thread behind: the
    thread would end with it, and Python would not know. sys.exit() in fn sets the exit code and
    gives no result. The child runs no atexit handlers.

    Raises CloneError with the broken rules, before anything is made where they are known; TypeError
    and ValueError for bad arguments.
    Needs: Linux 5.3 (older: what clone() can do); CAP_SYS_ADMIN for the NEW flags without NEWUSER.
    Source: clone(2), kernel/fork.c.
    """
    if not callable(fn):
        raise TypeError(f"fn must be callable, not {type(fn).__name__}")
    request = _request(flags, exit_signal)
    request.set_tid = set_tid
    vm = request.flags & _VM
    with _opened_cgroup(request, cgroup):
        if stack_size is not None and (not vm or request.flags & _VFORK):
            raise ValueError(
                "stack_size is for a child beside its caller (VM without VFORK): "
                "any other has the caller's"
            )
        if vm:
            return _clone_sharing(request, fn, args, _checked_stack_size(stack_size))
        return _clone_copying(request, fn, args)


def vfork(fn: Callable[[*Ts], T], *args: *Ts, flags: int = 0) -> Child[T]:
    """Run ``fn(*args)`` on the caller's own stack and memory, the caller waiting: vfork(2).

    Comes back when the child has exec'ed or ended; other Python threads go on meanwhile. fn may
    call os.execv and its kin, however deep: the caller is left as it was. flags: what to share
    besides (FILES, FS...), or what to make new; VM and VFORK are always there, and the exit signal
    is SIGCHLD when the low bits hold none. Do not fork, start threads or set signal handlers in fn.

    Returns a Child, which is the caller's.
    Raises as clone() does.
    Needs: nothing for itself.
    Source: vfork(2), clone(2).
    """
    if not callable(fn):
        raise TypeError(f"fn must be callable, not {type(fn).__name__}")
    request = _request(index(flags) | _VM | _VFORK, None)
    return _clone_sharing(request, fn, args, 0)


def fork(flags: int = 0) -> int:
    """Make a copy of this process; returns twice: the child's pid, and 0 in the child: fork(2).

    flags: what the two go on sharing (FILES, FS, SYSVSEM, IO, ...), what the child gets anew
    (NEW...), PARENT, PTRACE, UNTRACED, STOPPED, VFORK; the exit signal is SIGCHLD when the low bits
    hold none. With no flag it is libc's own fork(), with all handlers of libc, of other libraries
    and of Python; with one, Python's handlers run and libc's do not, so a lock that another native
    thread holds at that moment (malloc's, say) stays locked in the child. The pid is the caller's
    to wait for.

    Raises CloneError, for VM always: two tasks on one stack.
    Needs: what the flags need.
    Source: fork(2), clone(2).
    """
    request = _request(flags, None)
    if request.flags & _VM:
        raise CloneError(
            22,
            "fork() with VM would put two tasks on one stack: "
            "use clone(fn, flags=VM), or vfork(fn), which suspends the caller",
        )
    sweep()
    newborn = birth.give(request, None)
    if newborn.pidfd is not None:
        os.close(newborn.pidfd)
    return newborn.pid


def _request(flags: int, exit_signal: int | None) -> CloneArgs:
    """The flags without their exit signal, and the exit signal: said once, or by default."""
    flags = index(flags)  # int() would make a number of 1.5, and of "1"
    low = flags & _SIGNAL_BITS
    if exit_signal is not None and low and exit_signal != low:
        raise ValueError(f"the exit signal is said twice: {low} in flags, and {exit_signal}")
    if flags & _LOW_LEVEL:
        raise ValueError(
            f"{CloneFlag(flags & _LOW_LEVEL)} needs a word or an address: use ramet.lowlevel"
        )
    if exit_signal is None:
        quiet = flags & (_THREAD | _PARENT)
        exit_signal = low or (0 if quiet else signal.SIGCHLD)
    exit_signal = index(exit_signal)
    if not 0 <= exit_signal <= LAST_SIGNAL:
        raise ValueError(f"the exit signal is 0 to {LAST_SIGNAL}, not {exit_signal}")
    return CloneArgs(flags=flags & ~_SIGNAL_BITS, exit_signal=exit_signal)


def _clone_copying(request: CloneArgs, fn: Callable[..., T], args: tuple[Any, ...]) -> Child[T]:
    sweep()
    transfer = Transfer()
    # What is buffered now would be written by both.
    _flush_standard_streams()
    flags = request.flags
    newborn = birth.give(request, _body(transfer, fn, args))
    transfer.keep_from_others()
    return Child(newborn, flags, fn, transfer)


def _clone_sharing(
    request: CloneArgs, fn: Callable[..., T], args: tuple[Any, ...], stack_size: int
) -> Child[T]:
    sweep()
    outcome = SharedOutcome()
    flags = request.flags
    if not flags & _HANDLERS and birth.kernel_clears_handlers(request):
        # Python's handlers act on the memory that is shared: they must not run in the child.
        request.flags = flags | _CLEAR_SIGHAND
    body = _body(outcome, fn, args)
    newborn = birth.give(request, body, kept=body, carrier_stack_size=stack_size)
    child: Child[T] = Child(newborn, flags, fn, outcome)
    return child


def _body(
    outcome: Transfer | SharedOutcome, fn: Callable[..., Any], args: tuple[Any, ...]
) -> Callable[[object], int]:
    def body(_: object) -> int:
        try:
            return outcome.run(lambda: fn(*args))
        finally:
            if isinstance(outcome, Transfer):
                _flush_standard_streams()

    return body


def _flush_standard_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # none, broken, or closed
            stream.flush()


def _checked_stack_size(size: int | None) -> int:
    if size is None:
        return 0
    if size < _LEAST_STACK_BYTES:
        raise ValueError(
            f"a stack of {size} bytes is too small for Python: at least {_LEAST_STACK_BYTES}"
        )
    return size


class _opened_cgroup:  # noqa: N801 - used as a verb
    """Fills in the request's cgroup; a path is open for as long as the birth takes."""

    def __init__(
        self, request: CloneArgs, cgroup: int | HasFileno | str | os.PathLike[str] | None
    ) -> None:
        self._request = request
        self._cgroup = cgroup
        self._fd: int | None = None

    def __enter__(self) -> None:
        cgroup = self._cgroup
        if cgroup is None:
            return
        if isinstance(cgroup, str | os.PathLike):
            cgroup = self._fd = os.open(cgroup, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._request.cgroup = cgroup
        self._request.flags |= _INTO_CGROUP

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)
