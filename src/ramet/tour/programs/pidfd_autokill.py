"""PIDFD_AUTOKILL (Linux 7.1): the child is killed when the pidfd of the call is closed."""

import os
import select
import time

from ramet import CloneFlag as F
from ramet import lowlevel

word = lowlevel.TidWord(-1)
flags = F.PIDFD_AUTOKILL | F.PIDFD | F.AUTOREAP | F.NNP
args = lowlevel.CloneArgs(flags=flags, pidfd=word)
pid = lowlevel.clone3(args, lambda arg: time.sleep(1000))
other = os.pidfd_open(pid)
print(select.select([other], [], [], 0.1)[0])  # []: it runs
os.close(word.value)
print(select.select([other], [], [], 10)[0] == [other])  # True: it is gone
os.close(other)
