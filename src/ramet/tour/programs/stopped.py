"""STOPPED: the child starts stopped, until SIGCONT; today the library stops it."""

import os

import ramet
from ramet import CloneFlag as F

child = ramet.clone(os.getpid, flags=F.STOPPED)
with open(f"/proc/{child.pid}/stat") as file:
    state = file.read().rpartition(")")[2].split()[0]

print(state)  # T
child.resume()
print(child.result() == child.pid)  # True
