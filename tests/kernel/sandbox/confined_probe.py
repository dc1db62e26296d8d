"""A program that tries what a sandbox keeps it from, and prints what it could do."""

import errno
import json
import os
import socket
import sys


def _does(act, *arguments):
    try:
        act(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "yes"


def _read(path):
    with open(path, "rb") as file:
        file.read(1)


def _write(path):
    with open(path, "wb") as file:
        file.write(b"x")


def _add(directory):
    path = os.path.join(directory, "added")
    _write(path)
    os.unlink(path)


def _send_to_itself():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))


def _connect(address):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(address)


def _connect_tcp(port):
    with socket.socket() as one:
        one.connect(("127.0.0.1", port))


def _share_memory():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.shmget(0, 4096, 0o600) < 0:
        raise OSError(ctypes.get_errno(), "shmget")


def _unshare():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")


def _capabilities():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    return [*data][:2] + [*data][3:5]


def main(shown, outside, work, caller, name, port):
    import ctypes

    print(
        json.dumps(
            {
                "reads what is shown": _does(_read, shown),
                "reads a file outside": _does(_read, outside),
                "sees a file outside": _does(os.stat, outside),
                "writes what is shown": _does(_write, shown),
                "adds to its directory": _does(_add, work),
                "adds to /tmp": _does(_add, "/tmp"),
                "lists /proc": _does(os.listdir, "/proc"),
                "reads /proc/self": _does(_read, "/proc/self/status"),
                "reads the caller's /proc": _does(_read, f"/proc/{caller}/status"),
                "signals the caller": _does(os.kill, int(caller), 0),
                "uses /dev/null": _does(_write, "/dev/null"),
                "reads /dev/urandom": _does(_read, "/dev/urandom"),
                "uses UDP": _does(_send_to_itself),
                "connects to the host": _does(_connect_tcp, int(port)),
                "connects to an abstract socket": _does(_connect, "\0" + name),
                "shares memory": _does(_share_memory),
                "makes a namespace": _does(_unshare),
                "capabilities": sum(_capabilities()),
                "no_new_privs": ctypes.CDLL(None).prctl(39, 0, 0, 0, 0),
                "host name": os.uname().nodename,
                "descriptors": [fd for fd in range(3, 256) if _does(os.fstat, fd) == "yes"],
                "leads a session": os.getsid(0) == os.getpid(),
                "working directory": os.getcwd(),
                "environment": sorted(os.environ),
                "user": os.getuid(),
            }
        )
    )


main(*sys.argv[1:])
