"""P14: fn is written where the child's return address would be, arg next to it."""

import os
import signal
import struct

from ramet import lowlevel
from ramet.tour.machine_code import RETURN_ARGUMENT

code, stack = RETURN_ARGUMENT.load(), lowlevel.Stack(64 * 1024)
print(struct.unpack("=QQ", memoryview(stack)[-16:]))  # (0, 0)
pid = lowlevel.clone(code, 42, signal.SIGCHLD, stack)
print(struct.unpack("=QQ", memoryview(stack)[-16:]) == (code, 42))  # True
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # 42
