"""The kernel's own terms: clone() as programmers have always known it, and clone3()."""

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
    """Make a light-weight process that runs fn(arg) on child_stack: clone(2), the wrapper.

    fn: a Python callable, or native code: its address, or a function pointer of ctypes or cffi (one
    made of a Python function counts as native code, too). The integer it returns is the child's
    exit code. arg: anything for a callable; a word for native code: an int, None for 0, or a
    pointer. flags: CloneFlag; the low byte is the signal that the parent gets at the child's end,
    and there is none unless it is given. child_stack: a Stack, or the address of the top of a block
    of your own (rounded down to 16 bytes, as libc does it) that must stay until the child is gone; None
    is the caller's own stack, as vfork has it, and needs VFORK. tls: the address for the thread
    register, with SETTLS. ptid: the word of PARENT_SETTID, and of PIDFD. ctid: the word of CHILD_SETTID and
    CHILD_CLEARTID.

    fn and arg are laid in the two topmost words of the stack and fetched from there; for a callable
    they are the addresses of the two objects.

    Returns the child's pid (its tid with THREAD), which is the caller's to wait for.

    A child in shared memory that brings no thread-local block of its own is lent one by a thread
    made for it, for libc and Python to work in; CHILD_SETTID and CHILD_CLEARTID are then served by
    that thread and by the child's first instructions. A callable cannot go with SETTLS. The signal
    handlers of a callable in shared memory are reset, unless it shares them.

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
        raise ValueError("PIDFD needs a word for the descriptor (ptid)")
    return clone_call.call(args, code, word, legacy=True, kept=(fn, arg))


def clone3(
    args: CloneArgs,
    fn: Callable[[Any], int | None] | int | None = None,
    arg: Any = None,
    *,
    size: int = SIZES[-1],
) -> int:
    """Make a task as ``struct clone_args`` says: clone3(2).

    args: every field of the structure. fn, arg: as in clone(); without them the call returns twice,
    as the system call itself does: the child's pid, and 0 in the child. That needs a memory of its
    own (no VM) and the caller's stack. size: which version of the structure the kernel is told of,
    64, 80 or 88 bytes.

    Returns the child's pid, which is the caller's to wait for; with PIDFD the descriptor is the
    value of ``args.pidfd``, the caller's to close.

    Raises CloneError with the broken rules; OSError ENOSYS where clone3 is missing; TypeError and
    ValueError for bad arguments.
    Needs: Linux 5.3, 5.5 for set_tid, 5.7 for cgroup.
    Source: clone(2).
    """
    if not isinstance(args, CloneArgs):
        raise TypeError(
            f"args is a CloneArgs, not {type(args).__name__}: clone3(CloneArgs(flags=...), fn, arg)"
        )
    flags = CloneFlag(flag_bits(args.flags))
    if args.stack_size and not args.stack:
        raise ValueError("stack_size is given without a stack")
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
    """What of two tasks kcmp(2) compares: ``linux/kcmp.h`` without the ``KCMP_``."""

    FILE = 0
    VM = 1
    FILES = 2
    FS = 3
    SIGHAND = 4
    IO = 5
    SYSVSEM = 6
    EPOLL_TFD = 7


def kcmp(pid1: int, pid2: int, type: int, idx1: int = 0, idx2: int = 0) -> int:  # noqa: A002
    """Compare what two tasks have of one kind: kcmp(2).

    pid1, pid2: of a task; a tid for a thread. type: KcmpType. idx1, idx2: for FILE the descriptors
    to compare, one of each task; for EPOLL_TFD a descriptor, and the address of a
    ``struct kcmp_epoll_slot``.

    Returns 0 when it is one and the same, 1 or 2 for the order of two that differ, 3 where there is
    no order. SYSVSEM and IO are made when first used, and two tasks that have none compare as
    equal: ramet.relation() marks that.

    Raises OSError: EPERM without the right to look at both, ESRCH when one is gone, EBADF for a
    descriptor that is not open, EINVAL for an unknown type, ENOSYS on a kernel without the call.
    Needs: Linux 3.5 with CONFIG_KCMP; PTRACE_MODE_READ_REALCREDS on both tasks.
    Source: kcmp(2), kernel/kcmp.c.
    """
    given = {"pid1": pid1, "pid2": pid2, "type": type, "idx1": idx1, "idx2": idx2}
    return _core.kcmp(*(whole_number(name, value) for name, value in given.items()))


def _function(fn: Any, arg: Any, flags: CloneFlag) -> tuple[Any, Any]:
    """Fn and arg as the core takes them: two ints for native code, else the objects."""
    code = None if isinstance(fn, bool) else address_of(fn)
    if code is None:
        if not callable(fn):
            raise TypeError(
                f"fn must be callable, or the address of native code, not {type(fn).__name__}"
            )
        if flags & CloneFlag.SETTLS:
            raise ValueError(
                "SETTLS with a Python callable: libc and Python would find no thread-local block "
                "at tls; give native code, or leave SETTLS out and be lent a block"
            )
        return fn, arg
    if code == 0:
        raise ValueError("fn is a null pointer")
    word = 0 if arg is None else address_of(arg)
    if word is None:
        raise TypeError(f"native code takes an int or a pointer as arg, not {type(arg).__name__}")
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
        raise TypeError(f"child_stack is a Stack or an address, not {type(stack).__name__}")
    if stack <= 0:
        raise ValueError(f"no stack ends at {stack:#x}")
    return None, stack & -_STACK_ALIGNMENT  # as libc's wrapper does


def _check_range(args: CloneArgs, *, native: bool) -> None:
    """What clone3 does not ask: whether a child can live between stack and stack + stack_size."""
    base, size = args.stack_range()
    if not size:
        raise ValueError("stack is an address: it needs stack_size")
    if isinstance(args.stack, Stack) and size > args.stack.size:
        raise ValueError(f"stack_size is {size}, which is more than {args.stack!r} has")
    _check_top(base + size)
    _check_size(size, native=native)


def _check_top(top: int) -> None:
    if top <= 0 or top % _STACK_ALIGNMENT:
        raise ValueError(f"the top of a stack is aligned to {_STACK_ALIGNMENT} bytes, not {top:#x}")


def _check_size(size: int, *, native: bool) -> None:
    if native and size < (least := os.sysconf("SC_MINSIGSTKSZ")):
        raise ValueError(f"a stack of {size} bytes is too small: one signal frame needs {least}")
    if not native and size < _LEAST_PYTHON_STACK_BYTES:
        raise ValueError(
            f"a stack of {size} bytes is too small for Python: at least {_LEAST_PYTHON_STACK_BYTES}"
        )
