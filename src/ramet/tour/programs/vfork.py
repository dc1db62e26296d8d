"""VFORK: the caller is suspended until the child execs or ends."""

import os
import select
import time

import ramet
from ramet import CloneFlag as F

reading, writing = os.pipe()


def fn() -> None:
    time.sleep(0.5)
    os.write(writing, b"done")


child = ramet.clone(fn)
print(select.select([reading], [], [], 0)[0] == [reading])  # False: both go on
child.wait()
print(os.read(reading, 4))  # b'done'
child = ramet.clone(fn, flags=F.VFORK)
print(select.select([reading], [], [], 0)[0] == [reading])  # True: the caller goes on after it
child.wait()
os.close(reading)
os.close(writing)
