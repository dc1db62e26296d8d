"""The system calls themselves: clone() as the C wrapper takes it, clone3() and kcmp()."""

import enum
import os
from collections.abc import Callable
from typing import Any

from . import _core
from ._core import Stack, TidWord
from ._kernel.clone_args import SIZES, CloneArgs
from ._kernel.native_code import address_of
from ._preflight.quick_check import own_refusal
from ._process import clone_call
from .flags import CloneFlag, flag_bits, whole_number

__all__ = ["CloneArgs", "KcmpType", "Stack", "TidWord", "clone", "clone3", "kcmp"]

_SIGNAL_BYTE = 0xFF
_LEAST_PYTHON_STACK_BYTES = 128 * 1024
_STACK_ALIGNMENT = 16


def clone(
    fn: Callable[[Any], int | None] | int,
    arg: Any = None,
    flags: int = 0,
    child_stack: Stack | int | None = None,
    tls: int | None = None,
    ptid: TidWord | int | None = None,
    ctid: TidWord | int | None = None,
) -> int:
    """Make a task that runs fn(arg) on child_stack: clone(2), the wrapper of libc.

    fn: a Python callable, or native code: its address, or a function pointer of ctypes or cffi (one
    made from a Python function is native code, too). The integer that it returns is the child's exit
    code. arg: any object for a callable; a word for native code: an int, None for 0, or a pointer.
    flags: CloneFlag; the low byte is the signal that the parent gets at the child's end, 0 for none.
    child_stack: a Stack, or the address of the top of a block of memory (rounded down to 16 bytes, as
    libc does it), which the caller keeps until the child is gone; None is the caller's own stack, as with
    vfork, and needs VFORK. tls: the address for the thread pointer register, with SETTLS. ptid: the word
    of PARENT_SETTID, and of PIDFD. ctid: the word of CHILD_SETTID and CHILD_CLEARTID.

    fn and arg are written to the two topmost words of the stack and read from there; for a callable
    they are the addresses of the two objects.

    Returns the child's pid (its tid with THREAD), for which the caller waits.

    For a child in shared memory without SETTLS a host thread is made, which lends it a thread-local block
    for libc and Python; CHILD_SETTID and CHILD_CLEARTID are then carried out by that thread and by the
    child's first instructions. A callable cannot be combined with SETTLS. In a child in shared memory that
    runs a callable, signal handlers are reset, unless it shares them (SIGHAND).

    Raises CloneError with the broken rules; TypeError and ValueError for bad arguments.
    Needs: what the flags need.
    Source: clone(2).
    """
    flags = CloneFlag(flag_bits(flags))
    code, word = _function(fn, arg, flags)
    stack, top = _given_stack(child_stack, flags, native=isinstance(code, int))
    args = CloneArgs(
        flags=CloneFlag(int(flags) & ~_SIGNAL_BYTE),
        exit_signal=int(flags) & _SIGNAL_BYTE,
        pidfd=ptid,
        parent_tid=ptid,
        child_tid=ctid,
        stack=stack if stack is not None else top,
        tls=tls,
    )
    if CloneFlag.PIDFD in flags and ptid is None:
        raise ValueError(
            "invalid ptid: expected a word for the descriptor, since PIDFD is set; got None"
        )
    return clone_call.call(args, code, word, legacy=True, kept=(fn, arg))


def clone3(
    args: CloneArgs,
    fn: Callable[[Any], int | None] | int | None = None,
    arg: Any = None,
    *,
    size: int = SIZES[-1],
) -> int:
    """Make a task as ``struct clone_args`` says: clone3(2).

    args: the fields of the structure. fn, arg: as in clone(); without them the call returns twice, as
    the system call itself does: the child's pid, and 0 in the child. Such a child needs a memory of its
    own (no VM) and uses a copy of the caller's stack. size: the size of the structure that the kernel gets,
    64, 80 or 88 bytes.

    Returns the child's pid, for which the caller waits; with PIDFD the descriptor is the value of
    ``args.pidfd``, and the caller closes it.

    Raises CloneError with the broken rules; OSError ENOSYS where clone3 is missing; TypeError and
    ValueError for bad arguments.
    Needs: Linux 5.3, 5.5 for set_tid, 5.7 for cgroup.
    Source: clone(2).
    """
    if not isinstance(args, CloneArgs):
        raise TypeError(
            f"invalid args: expected a CloneArgs, got {type(args).__name__}: "
            "write clone3(CloneArgs(flags=...), fn, arg)"
        )
    flags = CloneFlag(flag_bits(args.flags))
    if args.stack_size and not args.stack:
        raise ValueError(
            f"invalid stack_size: expected None without a stack, got {args.stack_size}"
        )
    if fn is None:
        if flags & CloneFlag.VM or args.stack:
            raise own_refusal("ramet-returns-twice", flags, args.exit_signal)
        return clone_call.call(args, None, None, legacy=False, size=size)
    code, word = _function(fn, arg, flags)
    if args.stack:
        _check_range(args, native=isinstance(code, int))
    elif flags & CloneFlag.VM and not flags & CloneFlag.VFORK:
        raise own_refusal("ramet-no-stack", flags)
    return clone_call.call(args, code, word, legacy=False, size=size, kept=(fn, arg))


class KcmpType(enum.IntEnum):
    """The types of kcmp(2): ``linux/kcmp.h`` without the ``KCMP_``."""

    FILE = 0
    VM = 1
    FILES = 2
    FS = 3
    SIGHAND = 4
    IO = 5
    SYSVSEM = 6
    EPOLL_TFD = 7


def kcmp(pid1: int, pid2: int, type: int, idx1: int = 0, idx2: int = 0) -> int:  # noqa: A002
    """Compare a kernel object of two tasks: kcmp(2).

    pid1, pid2: of the tasks; a tid for a thread. type: KcmpType. idx1, idx2: for FILE the descriptors
    to compare, one of each task; for EPOLL_TFD a descriptor, and the address of a
    ``struct kcmp_epoll_slot``.

    Returns 0 when both tasks have the same object, 1 or 2 for the order of two objects, 3 when they have
    no order. The objects of SYSVSEM and IO are made at their first use, and two tasks that have none
    compare as equal: ramet.relation() reports that as unknown.

    Raises OSError: EPERM without the right to inspect both tasks, ESRCH when one is gone, EBADF for a
    descriptor that is not open, EINVAL for an unknown type, ENOSYS on a kernel without the call.
    Needs: Linux 3.5 with CONFIG_KCMP; PTRACE_MODE_READ_REALCREDS on both tasks.
    Source: kcmp(2), kernel/kcmp.c.
    """
    given = {"pid1": pid1, "pid2": pid2, "type": type, "idx1": idx1, "idx2": idx2}
    return _core.kcmp(*(whole_number(name, value) for name, value in given.items()))


def _function(fn: Any, arg: Any, flags: CloneFlag) -> tuple[Any, Any]:
    """The core's arguments: two ints for native code, else the two objects."""
    code = None if isinstance(fn, bool) else address_of(fn)
    if code is None:
        if not callable(fn):
            raise TypeError(
                f"invalid fn: expected a callable or the address of native code, got {type(fn).__name__}"
            )
        if flags & CloneFlag.SETTLS:
            raise ValueError(
                "SETTLS cannot be combined with a Python callable: libc and Python would find no "
                "thread-local block at tls; pass native code, or leave SETTLS out"
            )
        return fn, arg
    if code == 0:
        raise ValueError("invalid fn: expected the address of native code, got a null pointer")
    word = 0 if arg is None else address_of(arg)
    if word is None:
        raise TypeError(
            f"invalid arg: native code takes an int or a pointer, got {type(arg).__name__}"
        )
    return code, word


def _given_stack(
    stack: Stack | int | None, flags: CloneFlag, *, native: bool
) -> tuple[Stack | None, int | None]:
    if stack is None:
        if not flags & CloneFlag.VFORK:
            raise own_refusal("ramet-no-stack", flags)
        return None, None
    if isinstance(stack, Stack):
        _check_size(stack.size, native=native)
        return stack, None
    if isinstance(stack, bool) or not isinstance(stack, int):
        raise TypeError(
            f"invalid child_stack: expected a Stack or an address, got {type(stack).__name__}"
        )
    if stack <= 0:
        raise ValueError(f"invalid child_stack: expected the address of its top, got {stack:#x}")
    return None, stack & -_STACK_ALIGNMENT  # as libc's wrapper does


def _check_range(args: CloneArgs, *, native: bool) -> None:
    """What the kernel does not check: whether a child can run between stack and stack + stack_size."""
    base, size = args.stack_range()
    if not size:
        raise ValueError(
            "invalid stack_size: expected a size in bytes, since stack is an address, "
            f"got {args.stack_size}"
        )
    if isinstance(args.stack, Stack) and size > args.stack.size:
        raise ValueError(f"invalid stack_size: expected at most {args.stack.size}, got {size}")
    _check_top(base + size)
    _check_size(size, native=native)


def _check_top(top: int) -> None:
    if top <= 0 or top % _STACK_ALIGNMENT:
        raise ValueError(
            f"invalid stack: expected a top aligned to {_STACK_ALIGNMENT} bytes, got {top:#x}"
        )


def _check_size(size: int, *, native: bool) -> None:
    if native and size < (least := os.sysconf("SC_MINSIGSTKSZ")):
        raise ValueError(
            f"invalid stack: {size} bytes are too small, one signal frame needs {least}"
        )
    if not native and size < _LEAST_PYTHON_STACK_BYTES:
        raise ValueError(
            f"invalid stack: {size} bytes are too small for Python, expected at least "
            f"{_LEAST_PYTHON_STACK_BYTES}"
        )
