"""EMPTY_MNTNS (Linux 7.1): a mount namespace with an empty root and nothing else."""

import os

import ramet
from ramet import CloneFlag as F

flags = F.EMPTY_MNTNS | F.NEWUSER  # the second for callers without privileges
print(ramet.clone(os.listdir, "/").result() == os.listdir("/"))  # True
print(ramet.clone(os.listdir, "/", flags=flags).result())  # []
