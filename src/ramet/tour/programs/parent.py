"""PARENT: the caller's parent is the child's parent as well."""

import os

import ramet
from ramet import CloneFlag as F


def make(flags: int) -> tuple[int, int]:
    child = ramet.clone(os.getppid, flags=flags)
    return child.pid, child.result()


print(ramet.clone(make, 0).result()[1] == os.getpid())  # False: the child's own child
pid, parent = ramet.clone(make, int(F.PARENT)).result()
print(parent == os.getpid())  # True: ours
print(os.waitpid(pid, 0x40000000)[0] == pid)  # True: to be waited for by us, with __WALL
