"""NEWNET: gives the child a network of its own."""

import socket

import ramet
from ramet import CloneFlag as F


def interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


flags = F.NEWNET | F.NEWUSER  # the second for callers without privileges
print(ramet.clone(interfaces).result() == interfaces())  # True
print(ramet.clone(interfaces, flags=flags).result()[0])  # lo
