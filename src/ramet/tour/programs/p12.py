"""P12: clone() is a wrapper: it prepares the stack and makes the call."""

import ctypes
import os
import signal

from ramet import CloneFlag as F
from ramet import lowlevel
from ramet.tour.machine_code import RETURN_ARGUMENT

libc = ctypes.CDLL(None)
code, flags = RETURN_ARGUMENT.load(), F.VM | F.VFORK | signal.SIGCHLD
stack = lowlevel.Stack(64 * 1024)
top = ctypes.c_void_p(stack.top)
pid = libc.clone(ctypes.c_void_p(code), top, int(flags), ctypes.c_void_p(42))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # 42: libc's
pid = lowlevel.clone(code, 42, flags, stack)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # 42: Ramet's
