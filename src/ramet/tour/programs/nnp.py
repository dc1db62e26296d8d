"""NNP (Linux 7.1): sets no_new_privs in the child."""

import os

import ramet
from ramet import CloneFlag as F
from ramet.tour.probes import proc_status


def no_new_privs() -> str:
    return proc_status(os.getpid(), "NoNewPrivs")


print(ramet.clone(no_new_privs).result() == no_new_privs())  # True
print(ramet.clone(no_new_privs, flags=F.NNP).result())  # 1
