"""CHILD_CLEARTID: the kernel clears the variable at the child's end, and wakes a waiter."""

import os
import signal

from ramet import CloneFlag as F
from ramet import lowlevel

reader, writer = os.pipe()
word = lowlevel.TidWord(-1)
stack = lowlevel.Stack(256 * 1024)
flags = F.VM | F.CHILD_SETTID | F.CHILD_CLEARTID | signal.SIGCHLD
pid = lowlevel.clone(lambda fd: len(os.read(fd, 9)), reader, flags, stack, ctid=word)
print(word.wait(0.05))  # False
os.write(writer, b"x")
print(word.wait(10), word.value)  # True 0
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # 1
