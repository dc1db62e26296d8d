"""NEWCGROUP: the child sees its cgroup as the root."""

import os

import ramet
from ramet import CloneFlag as F

mine = os.readlink("/proc/self/ns/cgroup")
print(ramet.clone(os.readlink, "/proc/self/ns/cgroup").result() == mine)  # True
flags = F.NEWCGROUP | F.NEWUSER  # the second for callers without privileges
print(ramet.clone(os.readlink, "/proc/self/ns/cgroup", flags=flags).result() == mine)  # False
