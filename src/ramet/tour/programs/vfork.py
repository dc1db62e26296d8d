"""VFORK: the caller is suspended until the child execs or ends."""

import time

import ramet
from ramet import CloneFlag as F

begun = time.monotonic()
child = ramet.clone(time.sleep, 0.5)
print(time.monotonic() - begun < 0.5)  # True
child.wait()
begun = time.monotonic()
child = ramet.clone(time.sleep, 0.5, flags=F.VFORK)
print(time.monotonic() - begun < 0.5)  # False
child.wait()
