"""SIGHAND: shares the table of signal handlers; it needs VM."""

import ctypes
import signal

import ramet
from ramet import CloneFlag as F

SIG_IGN = ctypes.c_void_p(1)
libc = ctypes.CDLL(None)


def ignored() -> bool:
    with open("/proc/self/status") as lines:
        mask = next(line.split()[1] for line in lines if line.startswith("SigIgn"))
    return bool(int(mask, 16) >> (signal.SIGURG - 1) & 1)


ramet.clone(libc.signal, int(signal.SIGURG), SIG_IGN, flags=F.VM).wait()
print(ignored())  # False
ramet.clone(libc.signal, int(signal.SIGURG), SIG_IGN, flags=F.VM | F.SIGHAND).wait()
print(ignored())  # True
