"""P10, PARENT_SETTID: the kernel writes the child's pid into the parent's variable."""

import os
import signal

from ramet import CloneFlag as F
from ramet import lowlevel

word = lowlevel.TidWord(-1)
stack = lowlevel.Stack(256 * 1024)
pid = lowlevel.clone(lambda arg: 0, None, F.PARENT_SETTID | signal.SIGCHLD, stack, ptid=word)
print(word.value == pid)  # True
print(os.waitpid(pid, 0)[1])  # 0
