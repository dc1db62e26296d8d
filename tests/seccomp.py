"""Filters that a thread gives itself, to be like one on another kernel or in a sandbox."""

import ctypes
import errno
import struct

from .constants import (
    BPF_JUMP_IF_EQUAL,
    BPF_JUMP_IF_SET,
    BPF_LOAD_WORD,
    BPF_RETURN,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_SECCOMP,
    PR_SET_SYSCALL_USER_DISPATCH,
    SECCOMP_ALLOW,
    SECCOMP_ERRNO,
    SECCOMP_KILL,
    SECCOMP_MODE_FILTER,
    SECCOMP_TRAP,
    SYSTEM_CALLS,
)

# NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
_NEW_NAMESPACES = 0x7E020000


def be_in_a_container() -> None:
    """Refuse namespaces and mounts as the filter of a container does, which hides clone3 whole."""
    hide("clone3")
    for name in ("mount", "umount2", "open_tree", "move_mount", "mount_setattr", "pivot_root"):
        hide(name, errno.EPERM)
    for name in ("setns", "unshare"):
        hide(name, errno.EPERM)
    _answer("clone", SECCOMP_ERRNO | errno.EPERM, first=_NEW_NAMESPACES, compare=BPF_JUMP_IF_SET)


def refuse_filters() -> None:
    """Make the prctl fail that sets a filter, as on a kernel without them."""
    _answer("prctl", SECCOMP_ERRNO | errno.EINVAL, first=PR_SET_SECCOMP)


def refuse_dispatch() -> None:
    """Make the prctl fail that hands system calls to a handler, as on a kernel without it."""
    _answer("prctl", SECCOMP_ERRNO | errno.EINVAL, first=PR_SET_SYSCALL_USER_DISPATCH)


def hide(name: str, number: int = errno.ENOSYS) -> None:
    """Make that call fail, as on a kernel without it or with another errno."""
    _answer(name, SECCOMP_ERRNO | number)


def trap(name: str) -> None:
    """Have a SIGSYS handler answer that call from now on."""
    _answer(name, SECCOMP_TRAP)


def forbid(name: str) -> None:
    """Kill the process that makes that call."""
    _answer(name, SECCOMP_KILL)


def allow_all() -> None:
    """Have a filter that lets every call pass."""
    install(_step(BPF_RETURN, SECCOMP_ALLOW))


def _answer(
    name: str, answer: int, first: int | None = None, compare: int = BPF_JUMP_IF_EQUAL
) -> None:
    """To that call, or to that call with this first argument, or with any bit of it."""
    skipped = 1 if first is None else 3
    steps = [_step(BPF_LOAD_WORD, 0), _step(BPF_JUMP_IF_EQUAL, SYSTEM_CALLS[name], skipped)]
    if first is not None:
        steps += [_step(BPF_LOAD_WORD, 16), _step(compare, first, 1)]
    install(b"".join([*steps, _step(BPF_RETURN, answer), _step(BPF_RETURN, SECCOMP_ALLOW)]))


def _step(code: int, value: int, if_not: int = 0) -> bytes:
    return struct.pack("=HBBI", code, 0, if_not, value)


def install(code: bytes) -> None:
    """Have a filter of this program, an array of struct sock_filter."""
    program = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("@HP", len(code) // 8, ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in (
        (PR_SET_NO_NEW_PRIVS, 1, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, described),
    ):
        if libc.prctl(*call, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
