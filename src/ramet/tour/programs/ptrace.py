"""PTRACE: the child is traced if the caller is."""

import os

import ramet
from ramet import CloneFlag as F
from ramet.tour.debugger import debug
from ramet.tour.probes import proc_status


def tracer_of_child(flags: int) -> int:
    return ramet.clone(tracer, flags=flags).result()


def tracer() -> int:
    return int(proc_status(os.getpid(), "TracerPid"))


print(debug(lambda: tracer_of_child(0)).result)  # 0
print(debug(lambda: tracer_of_child(F.PTRACE)).result == os.getpid())  # True
