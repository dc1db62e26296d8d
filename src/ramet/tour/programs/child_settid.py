"""P11, CHILD_SETTID: the kernel writes the child's pid into the child's variable."""

import os
import signal

from ramet import CloneFlag as F
from ramet import lowlevel

word = lowlevel.TidWord(-1)
stack = lowlevel.Stack(256 * 1024)
flags = F.CHILD_SETTID | signal.SIGCHLD
pid = lowlevel.clone(lambda arg: word.value == os.getpid(), None, flags, stack, ctid=word)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # 1: it is, in the child's memory
print(word.value)  # -1: and untouched in ours
