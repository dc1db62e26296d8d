"""NEWUTS: gives the child host and domain names of its own."""

import socket

import ramet
from ramet import CloneFlag as F


def renamed() -> str:
    socket.sethostname("twig")
    return socket.gethostname()


flags = F.NEWUTS | F.NEWUSER  # the second for callers without privileges
print(ramet.clone(renamed, flags=flags).result())  # twig
print(socket.gethostname() == "twig")  # False
