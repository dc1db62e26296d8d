"""PIDFD: gives the caller a descriptor of the child."""

import os
import select
import signal

from ramet import CloneFlag as F
from ramet import lowlevel

word = lowlevel.TidWord(-1)
args = lowlevel.CloneArgs(flags=F.PIDFD, pidfd=word, exit_signal=signal.SIGCHLD)
pid = lowlevel.clone3(args, lambda arg: 3)
print(os.readlink(f"/proc/self/fd/{word.value}"))  # ...pidfd...
print(select.select([word.value], [], [], 10)[0] == [word.value])  # True: it has ended
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # 3
os.close(word.value)
