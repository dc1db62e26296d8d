"""P4: arg: points to the data that fn gets."""

import os
import signal

from ramet import CloneFlag as F
from ramet import lowlevel

data: list[str] = []
stack = lowlevel.Stack(256 * 1024)
pid = lowlevel.clone(lambda arg: arg.append("written"), data, F.VM | signal.SIGCHLD, stack)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # 0
print(data)  # ['written']
