"""STOPPED: the child begins stopped, until SIGCONT; the library sees to it today."""

import os

import ramet
from ramet import CloneFlag as F

child = ramet.clone(os.getpid, flags=F.STOPPED)
with open(f"/proc/{child.pid}/stat") as file:
    state = file.read().rpartition(")")[2].split()[0]

print(state)  # T
child.resume()
print(child.result() == child.pid)  # True
