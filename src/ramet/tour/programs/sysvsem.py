"""SYSVSEM: shares the list of semaphore operations to undo at the end."""

import os

import ramet
from ramet import CloneFlag as F


def shares(flags: int) -> bool | None:
    reader, writer = os.pipe()
    child = ramet.clone(os.read, reader, 1, flags=flags)
    shared = ramet.relation(os.getpid(), child).shares["sysvsem"]
    os.write(writer, b"x")
    child.wait()
    return shared


ramet.clone(int, flags=F.SYSVSEM).wait()  # from now on this process has a list
print(shares(0))  # False
print(shares(F.SYSVSEM))  # None: one and the same, or none at all: kcmp(2) does not say which
