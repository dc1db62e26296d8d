"""P13: the system call itself takes neither fn nor arg: it returns twice."""

import os
import signal

from ramet import lowlevel

args = lowlevel.CloneArgs(exit_signal=signal.SIGCHLD)
pid = lowlevel.clone3(args) or os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # 9
