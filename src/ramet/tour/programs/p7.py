"""P7: child_stack: the value of the child's stack pointer."""

import os
import signal

from ramet import CloneFlag as F
from ramet import lowlevel
from ramet.tour.machine_code import STORE_STACK_POINTER
from ramet.tour.probes import SharedWord

seen = SharedWord()
stack = lowlevel.Stack(64 * 1024)
code = STORE_STACK_POINTER.load()
pid = lowlevel.clone(code, seen.address, F.VM | signal.SIGCHLD, stack)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # 0
print(stack.base <= seen.value < stack.top)  # True
