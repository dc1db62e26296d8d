"""P2: fn: the child runs it, and ends when it returns."""

import os
import signal

from ramet import lowlevel

reader, writer = os.pipe()
stack = lowlevel.Stack(256 * 1024)
pid = lowlevel.clone(lambda fd: len(os.read(fd, 9)), reader, signal.SIGCHLD, stack)
print(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG))  # None: it runs
os.write(writer, b"three")
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # 5
