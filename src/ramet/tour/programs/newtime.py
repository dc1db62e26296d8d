"""NEWTIME: gives the child clocks of its own for the time since boot."""

import os

import ramet
from ramet import CloneFlag as F

mine = os.readlink("/proc/self/ns/time")
print(ramet.clone(os.readlink, "/proc/self/ns/time").result() == mine)  # True
flags = F.NEWTIME | F.NEWUSER  # the second for callers without privileges
print(ramet.clone(os.readlink, "/proc/self/ns/time", flags=flags).result() == mine)  # False
