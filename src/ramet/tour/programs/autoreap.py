"""AUTOREAP (Linux 7.1): no zombie and no signal at the child's end."""

import os
import select
import time

from ramet import CloneFlag as F
from ramet import lowlevel

word = lowlevel.TidWord(-1)
args = lowlevel.CloneArgs(flags=F.AUTOREAP | F.PIDFD, pidfd=word)
pid = lowlevel.clone3(args, lambda arg: 0)
print(select.select([word.value], [], [], 10)[0] == [word.value])  # True: it has ended
latest = time.monotonic() + 5
while os.path.exists(f"/proc/{pid}") and time.monotonic() < latest:
    os.sched_yield()

print(os.path.exists(f"/proc/{pid}"))  # False: and nothing is left
os.close(word.value)
