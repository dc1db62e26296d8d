"""NEWIPC: gives the child System V objects and message queues of its own."""

import os

import ramet
from ramet import CloneFlag as F

mine = os.readlink("/proc/self/ns/ipc")
print(ramet.clone(os.readlink, "/proc/self/ns/ipc").result() == mine)  # True
flags = F.NEWIPC | F.NEWUSER  # the second for callers without privileges
print(ramet.clone(os.readlink, "/proc/self/ns/ipc", flags=flags).result() == mine)  # False
