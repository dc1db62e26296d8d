"""NEWUSER: gives the child a user namespace, all capabilities in it, and no mapped ids."""

import os

import ramet
from ramet import CloneFlag as F


def rights() -> str:
    with open("/proc/self/status") as lines:
        return next(line.split()[1] for line in lines if line.startswith("CapEff"))


print(ramet.clone(os.getuid).result() == os.getuid())  # True
print(ramet.clone(os.getuid, flags=F.NEWUSER).result())  # 65534
print(ramet.clone(rights, flags=F.NEWUSER).result())  # 000001ffffffffff
