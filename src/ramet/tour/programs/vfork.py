"""VFORK: the caller is suspended until the child execs or ends."""

import time

import ramet
from ramet import CloneFlag as F

child = ramet.clone(time.sleep, 0.5)
print(ramet.wait([child], 0) == [child])  # False: both go on
child.wait()
child = ramet.clone(time.sleep, 0.5, flags=F.VFORK)
print(ramet.wait([child], 0) == [child])  # True: it had ended before the caller went on
child.wait()
