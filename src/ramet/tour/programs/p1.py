"""P1: clone() makes a light-weight process."""

import os

import ramet
from ramet import CloneFlag as F

reader, writer = os.pipe()
light = ramet.clone(os.read, reader, 1, flags=F.VM | F.FS | F.FILES | F.SIGHAND)
shares = ramet.relation(os.getpid(), light).shares
kinds = ("vm", "fs", "files", "sighand")
print([kind for kind in kinds if shares[kind]])  # ['vm', 'fs', 'files', 'sighand']
print(light.pid == os.getpid())  # False
os.write(writer, b"x")
print(light.result())  # b'x'
