"""A few instructions for children that must not use libc: the tour's native code.

A child whose thread pointer is arbitrary, or another task's, can call nothing
that reads its thread-local block. These functions read none, and each takes one word.
"""

import ctypes
import mmap
import platform
import struct
from dataclasses import dataclass

from .probes import LIBC, checked
from .row import NotPermitted

_FAILED = ctypes.c_void_p(-1).value
_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
_READ_EXECUTE = mmap.PROT_READ | mmap.PROT_EXEC
_ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


@dataclass(frozen=True)
class MachineCode:
    """A function ``int (*)(uintptr_t)``, in the instructions of each architecture."""

    x86_64: bytes
    aarch64: tuple[int, ...]

    def load(self) -> int:
        """Its address in executable memory, which is kept until this process ends.

        Source: mmap(2), mprotect(2).
        """
        code = self._here()
        size = ctypes.c_size_t(mmap.PAGESIZE)
        LIBC.mmap.restype = ctypes.c_void_p
        address = LIBC.mmap(None, size, _READ_WRITE, _ANONYMOUS, -1, ctypes.c_long(0))
        if address == _FAILED:
            raise MemoryError
        ctypes.memmove(address, code, len(code))
        # Written first and made executable afterwards: never both at once, and on aarch64 this is
        # where the kernel brings the instruction cache up to date.
        try:
            checked(LIBC.mprotect(ctypes.c_void_p(address), size, _READ_EXECUTE))
        except OSError:
            raise NotPermitted("executable memory for native code is not permitted here") from None
        return int(address)

    def _here(self) -> bytes:
        match platform.machine():
            case "x86_64":
                return self.x86_64
            case "aarch64":
                return struct.pack(f"<{len(self.aarch64)}I", *self.aarch64)
            case other:
                raise NotPermitted(f"the tour has no native code for {other}")


# Stores the thread register where its argument points, and returns 0.
#
#   mov  %rdi, %rsi            48 89 fe           mrs  x1, tpidr_el0     d53bd041
#   mov  $ARCH_GET_FS, %edi    bf 03 10 00 00     str  x1, [x0]          f9000001
#   mov  $__NR_arch_prctl, %eax  b8 9e 00 00 00   mov  w0, #0            52800000
#   syscall                    0f 05              ret                    d65f03c0
#   ret                        c3
STORE_THREAD_REGISTER = MachineCode(
    bytes.fromhex("4889fe bf03100000 b89e000000 0f05 c3"),
    (0xD53BD041, 0xF9000001, 0x52800000, 0xD65F03C0),
)

# Stores the stack pointer where its argument points, and returns 0.
#
#   mov  %rsp, (%rdi)          48 89 27           mov  x1, sp            910003e1
#   xor  %eax, %eax            31 c0              str  x1, [x0]          f9000001
#   ret                        c3                 mov  w0, #0            52800000
#                                                 ret                    d65f03c0
STORE_STACK_POINTER = MachineCode(
    bytes.fromhex("488927 31c0 c3"),
    (0x910003E1, 0xF9000001, 0x52800000, 0xD65F03C0),
)

# Returns its argument.
#
#   mov  %edi, %eax            89 f8              ret                    d65f03c0
#   ret                        c3
RETURN_ARGUMENT = MachineCode(bytes.fromhex("89f8 c3"), (0xD65F03C0,))

# Reads one byte from the descriptor that its argument is, and returns 0: waits for a pipe.
#
#   push %rax                  50                 sub  sp, sp, #16       d10043ff
#   mov  %rsp, %rsi            48 89 e6           mov  x1, sp            910003e1
#   mov  $1, %edx              ba 01 00 00 00     mov  x2, #1            d2800022
#   xor  %eax, %eax  (read)    31 c0              mov  x8, #63  (read)   d28007e8
#   syscall                    0f 05              svc  #0                d4000001
#   xor  %eax, %eax            31 c0              mov  w0, #0            52800000
#   pop  %rdx                  5a                 add  sp, sp, #16       910043ff
#   ret                        c3                 ret                    d65f03c0
READ_ONE_BYTE = MachineCode(
    bytes.fromhex("50 4889e6 ba01000000 31c0 0f05 31c0 5a c3"),
    (
        0xD10043FF, 0x910003E1, 0xD2800022, 0xD28007E8,
        0xD4000001, 0x52800000, 0x910043FF, 0xD65F03C0,
    ),
)  # fmt: skip

# Calls execve with the three words that its argument points to: path, argv, environment.
#
#   mov  16(%rdi), %rdx        48 8b 57 10        ldp  x3, x1, [x0]      a9400403
#   mov  8(%rdi), %rsi         48 8b 77 08        ldr  x2, [x0, #16]     f9400802
#   mov  (%rdi), %rdi          48 8b 3f           mov  x0, x3            aa0303e0
#   mov  $__NR_execve, %eax    b8 3b 00 00 00     mov  x8, #221          d2801ba8
#   syscall                    0f 05              svc  #0                d4000001
#   ret                        c3                 ret                    d65f03c0
EXECVE = MachineCode(
    bytes.fromhex("488b5710 488b7708 488b3f b83b000000 0f05 c3"),
    (0xA9400403, 0xF9400802, 0xAA0303E0, 0xD2801BA8, 0xD4000001, 0xD65F03C0),
)
