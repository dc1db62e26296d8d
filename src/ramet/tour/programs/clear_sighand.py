"""CLEAR_SIGHAND: every signal with a handler gets its default action."""

import signal

import ramet
from ramet import CloneFlag as F


def caught() -> bool:
    with open("/proc/self/status") as lines:
        mask = next(line.split()[1] for line in lines if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (signal.SIGUSR1 - 1) & 1)


before = signal.signal(signal.SIGUSR1, lambda *_: None)
print(ramet.clone(caught).result())  # True
print(ramet.clone(caught, flags=F.CLEAR_SIGHAND).result())  # False
handler = signal.signal(signal.SIGUSR1, before)
