"""P9, SETTLS: tls goes into the child's thread pointer register."""

import os
import signal

from ramet import CloneFlag as F
from ramet import lowlevel
from ramet.tour.machine_code import STORE_THREAD_REGISTER
from ramet.tour.probes import SharedWord
from ramet.tour.words import own_thread_register


def thread_register(flags: int, tls: int | None) -> int:
    seen = SharedWord()
    code, stack = STORE_THREAD_REGISTER.load(), lowlevel.Stack(64 * 1024)
    pid = lowlevel.clone(code, seen.address, flags | signal.SIGCHLD, stack, tls=tls)
    os.waitpid(pid, 0)
    return seen.value


print(thread_register(0, None) == own_thread_register())  # True
print(hex(thread_register(F.SETTLS, 0x1000)))  # 0x1000
