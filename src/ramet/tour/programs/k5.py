"""K5: vfork()'s child_stack is the parent's own stack pointer."""

import ctypes
import os
import signal

from ramet import CloneFlag as F
from ramet import lowlevel
from ramet.tour.machine_code import STORE_STACK_POINTER
from ramet.tour.probes import SharedWord


def stack_pointer(flags: int) -> int:
    """Of a child that is given no stack."""
    seen = SharedWord()
    pid = lowlevel.clone(STORE_STACK_POINTER.load(), seen.address, flags | signal.SIGCHLD)
    os.waitpid(pid, 0)
    return seen.value


def mapping(address: int) -> str:
    """Of ours, which has that address."""
    with open("/proc/self/maps") as lines:
        ranges = [line.split()[0] for line in lines]
    return next(r for r in ranges if int(r.split("-")[0], 16) <= address < int(r.split("-")[1], 16))


own = SharedWord()
ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(STORE_STACK_POINTER.load())(own.address)
print(mapping(stack_pointer(F.VM | F.VFORK)) == mapping(own.value))  # True
