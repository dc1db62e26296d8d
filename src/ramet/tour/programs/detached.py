"""DETACHED: has no effect: the kernel ignores it."""

import os

import ramet
from ramet import CloneFlag as F

child = ramet.clone(os.getpid, flags=F.DETACHED)
print(child.result() == child.pid)  # True
print(ramet.predict(F.DETACHED, call="clone3").errno)  # EINVAL: clone3 takes it no longer
