"""NEWNS: gives the child a mount namespace of its own."""

import os

import ramet
from ramet import CloneFlag as F

mine = os.readlink("/proc/self/ns/mnt")
print(ramet.clone(os.readlink, "/proc/self/ns/mnt").result() == mine)  # True
flags = F.NEWNS | F.NEWUSER  # the second for callers without privileges
print(ramet.clone(os.readlink, "/proc/self/ns/mnt", flags=flags).result() == mine)  # False
