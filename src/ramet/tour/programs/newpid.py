"""NEWPID: the child is the first process of a new pid namespace."""

import os

import ramet
from ramet import CloneFlag as F

print(ramet.clone(os.getpid).result() == 1)  # False
flags = F.NEWPID | F.NEWUSER  # the second for callers without privileges
print(ramet.clone(os.getpid, flags=flags).result())  # 1
