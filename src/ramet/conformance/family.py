"""The processes of a check: a caller, and a parent made for it that reaps its siblings."""

import ctypes
import fcntl
import os
import pickle
import signal
from collections.abc import Callable
from typing import Any, TypeVar

from .._kernel.names import WALL

T = TypeVar("T")

_PR_SET_DUMPABLE = 4
_PTRACE_TRACEME, _PTRACE_CONT = 0, 7
_PIPE_BYTES = 1 << 20
_SIGNALS = set(range(1, 65)) - {32, 33}
_LIBC = ctypes.CDLL(None, use_errno=True)


def in_a_caller(fn: Callable[[], T], uid: int | None = None) -> T:
    """What fn returns in its own process, as another user where one is named.

    Its parent, another process made for this, reaps the children of CLONE_PARENT.
    """
    result: T = _result_of(lambda writer: _reap(fn, writer, uid))
    return result


def in_a_child(fn: Callable[[], T]) -> T:
    """What fn returns in a plain child."""
    result: T = _result_of(lambda writer: _call(fn, writer, None))
    return result


def in_a_traced_child(fn: Callable[[], T]) -> T:
    """What fn returns in a child that this process traces; each tracee goes on after each stop."""
    result: T = _result_of(lambda writer: _call(lambda: _traced(fn), writer, None), _follow)
    return result


def _traced(fn: Callable[[], T]) -> T:
    """In the child: ask for a tracer, and stop until it is attached."""
    _ptrace(_PTRACE_TRACEME, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    return fn()


def _follow(child: int) -> None:
    """Let every tracee go on after every stop, until the first of them has ended and all are reaped."""
    while True:
        try:
            pid, status = os.waitpid(-1, WALL)
        except ChildProcessError:
            return
        if os.WIFSTOPPED(status):
            number = os.WSTOPSIG(status)
            _ptrace(_PTRACE_CONT, pid, 0 if number == signal.SIGSTOP else number)
        elif pid == child:
            return


def _ptrace(request: int, pid: int, number: int = 0) -> None:
    _LIBC.ptrace(ctypes.c_long(request), ctypes.c_long(pid), None, ctypes.c_long(number))


def _result_of(run: Callable[[int], None], follow: Callable[[int], None] | None = None) -> Any:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        run(writer)
    os.close(writer)
    if follow is not None:
        # The child cannot go on until this returns, so its whole result must fit the pipe.
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        follow(child)
    with open(reader, "rb") as pipe:
        result = pipe.read()
    if follow is None:
        os.waitpid(child, 0)
    if not result:
        raise RuntimeError("the caller ended without a result")
    kind, value = pickle.loads(result)
    if kind == "raised":
        raise value
    return value


def _reap(fn: Callable[[], Any], writer: int, uid: int | None) -> None:
    try:
        # With SIGCHLD ignored the kernel reaps the children, and a wait ends when all are gone.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        caller = os.fork()
        if caller == 0:
            _call(fn, writer, uid)
        os.close(writer)
        os.waitpid(caller, 0)
    except ChildProcessError:
        pass
    finally:
        os._exit(0)


def _call(fn: Callable[[], Any], writer: int, uid: int | None) -> None:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Children send many different exit signals.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        if uid is not None:
            become(uid)
        result = ("returned", fn())
    except BaseException as error:
        result = ("raised", RuntimeError(f"{type(error).__name__}: {error}"))
    with open(writer, "wb") as pipe:
        pickle.dump(result, pipe)
    os._exit(0)


def become(uid: int) -> None:
    """Become another user without groups, who may still read its own /proc: prctl(PR_SET_DUMPABLE)."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _LIBC.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
