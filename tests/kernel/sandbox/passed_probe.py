"""A program in a sandbox without a network that was given one socket, number 3: what it can do with it.

`python passed_probe.py PORT NAME` prints as JSON the errno of each attempt, by its name, 0 where it did
not fail. PORT and NAME: a TCP port and an abstract unix socket of the host's, which listen.
"""

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable

MSG_FASTOPEN, SO_PEERPIDFD, SIOCGSKNS = 0x20000000, 77, 0x894C
_libc = ctypes.CDLL(None, use_errno=True)


def tried(attempt: Callable[[], object]) -> int | str:
    """0, or the name of the errno."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "unknown")
    return 0


def disconnect(given: socket.socket) -> None:
    """connect(2) with AF_UNSPEC."""
    if _libc.connect(given.fileno(), struct.pack("=H14x", socket.AF_UNSPEC), 16):
        raise OSError(ctypes.get_errno(), "connect")


def signal_peer(given: socket.socket) -> None:
    """By the pidfd that the kernel gives of who has made a pair; from Linux 6.5 on."""
    found = given.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD, 4)
    signal.pidfd_send_signal(struct.unpack("=i", found)[0], 0)


def main(port: str, name: str) -> None:
    """All attempts, in an order in which none disturbs the next."""
    given = socket.socket(fileno=3)
    is_unix = given.family == socket.AF_UNIX
    other = f"\0{name}" if is_unix else ("127.0.0.1", int(port))
    attempts: dict[str, Callable[[], object]] = {
        "send": lambda: given.send(b"one"),
        "connect": lambda: given.connect(other),
        "open in proc": lambda: os.open("/proc/self/fd/3", os.O_RDWR),
        "namespace of socket": lambda: _ioctl(3, SIOCGSKNS),
        "accept": given.accept,
    }
    if is_unix:
        attempts["signal to its maker"] = lambda: signal_peer(given)
        attempts["bind"] = lambda: given.bind(f"\0{name}-taken")
    attempts |= {
        "disconnect": lambda: disconnect(given),
        "connect then": lambda: given.connect(other),
        "send elsewhere": lambda: given.sendto(b"x", MSG_FASTOPEN, other),
        "disconnect again": lambda: disconnect(given),
        "listen": given.listen,
        "send at the end": lambda: given.send(b"two"),
    }
    print(json.dumps({name: tried(attempt) for name, attempt in attempts.items()}))


def _ioctl(descriptor: int, request: int) -> None:
    if _libc.ioctl(descriptor, request, 0) < 0:
        raise OSError(ctypes.get_errno(), "ioctl")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(*sys.argv[1:])
