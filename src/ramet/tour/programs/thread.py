"""THREAD: puts the child into the caller's thread group; it needs SIGHAND and VM."""

import os
import threading

import ramet
from ramet import CloneFlag as F


def ids() -> tuple[int, int]:
    return os.getpid(), threading.get_native_id()


pid, tid = ramet.clone(ids, flags=F.VM | F.SIGHAND | F.THREAD).result()
print(pid == os.getpid())  # True
print(tid == threading.get_native_id())  # False
