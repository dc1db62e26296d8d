"""The clone call, for each way to make a task by a function; a refusal is explained."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from operator import index
from typing import Any, TypeAlias

from .. import _core
from .._core import SharedTask, Stack, TidWord
from .._kernel.clone_args import SIZES, Address, CloneArgs
from .._kernel.clone_bits import PIDFD, THREAD, VM
from .._preflight.quick_check import check, own_refusal, refusal
from ..errors import CloneError
from .request import Request, call_name, is_by_clone, is_plain_fork, request_for
from .tree import subreaper
from .unreaped import reap_ended

Function: TypeAlias = Callable[[Any], int | None]

_NO_DESCRIPTOR = -1

# A free-threaded Python takes its global lock for ramet._core and keeps it, unless it was told not to.
_GIL_IS_OFF = sys.version_info >= (3, 13) and not sys._is_gil_enabled()


class CheckedCall:
    """A clone call by these arguments and nothing else, which can be made many times.

    What breaks a rule of every kernel is refused before, and a refusal of the kernel is explained.
    """

    def __init__(self, args: CloneArgs, *, legacy: bool, size: int = SIZES[-1]) -> None:
        flags = index(args.flags)
        check(flags, args.exit_signal, call_name(legacy))
        if args.pidfd is None and flags & PIDFD:
            args.pidfd = TidWord(_NO_DESCRIPTOR)
        self.args = args
        self._request = Request(args, legacy, size=size)
        self.core = self._request.core  # for who makes it without make()

    def make(
        self, fn: Function | Address | None = None, arg: Any = None, kept: object = None
    ) -> tuple[int, SharedTask | None]:
        """Make the task: the pid, and 0 in a child that returns twice."""
        try:
            return _core.clone(self._request.core, fn, arg, kept)
        except OSError as error:
            raise self._request.refusal(error) from None


def deadline_thread_for(args: CloneArgs | None = None) -> _core.DeadlineThread:
    """The thread that will kill a child at its deadline, made ahead of the child.

    args: of the child's clone call, whose error tells that there is no thread; None where another
    process makes it.
    """
    try:
        return _core.DeadlineThread()
    except OSError as error:
        flags, exit_signal = (0, 0) if args is None else (index(args.flags), args.exit_signal)
        raise refusal(error, flags, exit_signal, "clone") from None


def call(
    args: CloneArgs,
    fn: Function | Address | None,
    arg: Any,
    *,
    legacy: bool,
    size: int = SIZES[-1],
    kept: object = None,
) -> int:
    """Make the task by these arguments and nothing else: the pid, and 0 in a child that returns twice.

    What breaks a rule of every kernel is refused before the clone call, and a refusal of the kernel is
    explained.
    Needs: what the flags need.
    Source: clone(2).
    """
    flags = index(args.flags)
    checked = CheckedCall(args, legacy=legacy, size=size)
    if flags & VM and callable(fn):
        _require_gil(flags)
    if isinstance(args.stack, Stack) and args.stack.in_use:
        raise ValueError(f"invalid stack: {args.stack!r} is in use, another task may be on it")
    pid, _ = checked.make(fn, arg, kept)
    subreaper.note(pid)
    return pid


def _require_gil(flags: int) -> None:
    if _GIL_IS_OFF:
        raise own_refusal("ramet-no-gil", flags)


def share(
    child: _core.Handle,
    request: Request,
    fn: Callable[..., object] | bytes,
    arguments: tuple[object, ...],
) -> bool:
    """Make a task in shared memory that calls ``fn(*arguments)``; the handle stands for it.

    The task of the handle has the outcome.
    Returns whether the child suspended its caller, has been reaped, and ended with losses.
    Needs: what the flags need.
    Source: clone(2), vfork(2), pidfd_open(2).
    """
    _require_gil(request.flags)
    try:
        lost = _core.share(child, request.core, fn, arguments)
    except OSError as error:
        refused = request.refusal(error)
        if error.filename is not None or not _thread_without_pidfd(refused, request.flags):
            raise refused from None
        lost = _core.share(child, request.without_pidfd().core, fn, arguments)
    if subreaper.blocks:
        subreaper.note(child.pid)
    return lost


def copy(
    child: _core.Handle,
    outcome: _core.Mapping,
    request: Request | None,
    fn: Callable[..., object],
    arguments: tuple[object, ...],
) -> None:
    """Make a task with a memory of its own that calls ``fn(*arguments)``; the handle stands for it.

    request: None for what libc's own fork() does. outcome: where that of the function is to lie.
    Needs: what the flags need.
    Source: fork(2), clone(2), pidfd_open(2).
    """
    try:
        _core.copy(child, outcome, None if request is None else request.core, fn, arguments)
    except OSError as error:
        raise (refused_fork(error) if request is None else request.refusal(error)) from None
    if subreaper.blocks:
        subreaper.note(child.pid)


def copy_as_asked(
    child: _core.Handle,
    outcome: _core.Mapping,
    args: CloneArgs,
    fn: Callable[..., object],
    arguments: tuple[object, ...],
) -> None:
    """copy(), by the request that ``args`` make: by libc's fork() where that does all of it."""
    reap_ended()
    copy(child, outcome, None if is_plain_fork(args) else request_for(args, "copy"), fn, arguments)


def twice(args: CloneArgs) -> int:
    """Make a copy of this process that returns as well: its pid, and 0 in the copy itself.

    Needs: what the flags need.
    Source: fork(2), clone(2).
    """
    if not is_plain_fork(args):
        pid = call(args, None, None, legacy=is_by_clone(args))
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
    """The error for a fork() of libc's that failed."""
    return refusal(error, 0, signal.SIGCHLD, "clone")


def _thread_without_pidfd(error: OSError, flags: int) -> bool:
    """Before 6.9 a thread had no pidfd, and this is how such a kernel says so."""
    explained = isinstance(error, CloneError) and all(rule.id == "D8" for rule in error.rules)
    return error.errno == errno.EINVAL and bool(flags & THREAD) and explained
