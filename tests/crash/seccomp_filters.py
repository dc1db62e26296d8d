"""Filters that a process gives itself, to be like one on another kernel or in a sandbox."""

import ctypes
import errno
import platform
import struct

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
PR_SET_SYSCALL_USER_DISPATCH = 59
SECCOMP_MODE_FILTER = 2
TRAP, FAIL, ALLOW = 0x00030000, 0x00050000, 0x7FFF0000
NUMBERS = {
    "x86_64": {"prctl": 157, "getppid": 110, "unshare": 272, "clone3": 435},
    "aarch64": {"prctl": 167, "getppid": 173, "unshare": 97, "clone3": 435},
}[platform.machine()]


def refuse_dispatch() -> None:
    """Make the prctl fail that hands system calls to a handler, as on a kernel without it."""
    _install(NUMBERS["prctl"], FAIL | errno.EINVAL, first=PR_SET_SYSCALL_USER_DISPATCH)


def hide(name: str) -> None:
    """Make that call fail as on a kernel without it."""
    _install(NUMBERS[name], FAIL | errno.ENOSYS)


def trap(name: str) -> None:
    """Have a SIGSYS handler answer that call from now on."""
    _install(NUMBERS[name], TRAP)


def _install(number: int, answer: int, first: int | None = None) -> None:
    def step(code: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_so, if_not, value)

    load, equal, end = 0x20, 0x15, 0x06
    steps = [step(load, 0), step(equal, number, 0, 1 if first is None else 3)]
    if first is not None:
        steps += [step(load, 16), step(equal, first, 0, 1)]
    steps += [step(end, answer), step(end, ALLOW)]
    program = ctypes.create_string_buffer(b"".join(steps))
    described = struct.pack("@HP", len(steps), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, described, 0, 0) == 0
