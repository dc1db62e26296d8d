"""P8: the caller should always allocate a new stack."""

import os
import signal

import ramet
from ramet import CloneFlag as F
from ramet import lowlevel

try:
    lowlevel.clone(lambda arg: 0, None, F.VM | signal.SIGCHLD)
except ramet.CloneError as error:
    print(error.rules[0].sentence)  # ...stack...

pid = lowlevel.clone(lambda arg: 7, None, F.VM | signal.SIGCHLD, lowlevel.Stack(256 * 1024))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # 7
