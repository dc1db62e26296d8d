"""A program that tries what a sandbox keeps it from, and prints what it could do."""

import ctypes
import errno
import json
import os
import resource
import socket
import sys
from collections.abc import Callable

_LIBC = ctypes.CDLL(None, use_errno=True)
# What is tried with it may hold for all processes of a user, and those of the tests are among them.
_AS_IT_IS = os.getpriority(os.PRIO_PROCESS, 0)
_GET_NO_NEW_PRIVS, _CAPABILITY_VERSION, _NEWUSER = 39, 0x20080522, 0x10000000


def _does(act: Callable[..., object], *arguments: object) -> str:
    try:
        act(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "yes"


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _write(path: str) -> None:
    with open(path, "wb") as file:
        file.write(b"x")


def _add(directory: str) -> None:
    path = os.path.join(directory, "added")
    _write(path)
    os.unlink(path)


def _leave_set_user_id(directory: str) -> None:
    path = os.path.join(directory, "left")
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o4755))
    os.unlink(path)


def _bind_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))


def _connect(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(address)


def _connect_tcp(port: int) -> None:
    with socket.socket() as one:
        one.connect(("127.0.0.1", port))


def _inherited(fd: int) -> None:
    if not os.get_inheritable(fd):
        raise OSError(errno.EBADF, "it is this program's own")


def _set_limit_of(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_NOFILE, resource.prlimit(pid, resource.RLIMIT_NOFILE))


def _check(answer: int) -> None:
    if answer < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _share_memory() -> None:
    _check(_LIBC.shmget(0, 4096, 0o600))


def _unshare() -> None:
    _check(_LIBC.unshare(_NEWUSER))


def _capabilities() -> int:
    header, data = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    _check(_LIBC.capget(header, data))
    return sum(data)


def main(shown: str, outside: str, work: str, caller: str, name: str, port: str) -> None:
    """Print all as one object of JSON."""
    print(
        json.dumps(
            {
                "reads what is shown": _does(_read, shown),
                "reads a file outside": _does(_read, outside),
                "sees a file outside": _does(os.stat, outside),
                "writes what is shown": _does(_write, shown),
                "adds to its directory": _does(_add, work),
                "makes a set-user-ID program": _does(_leave_set_user_id, work),
                "adds to /tmp": _does(_add, "/tmp"),
                "lists /proc": _does(os.listdir, "/proc"),
                "reads /proc/self": _does(_read, "/proc/self/status"),
                "reads the caller's /proc": _does(_read, f"/proc/{caller}/status"),
                "signals the caller": _does(os.kill, int(caller), 0),
                "sets limits of its own": _does(_set_limit_of, 0),
                "sets limits of the caller": _does(_set_limit_of, int(caller)),
                "is nicer itself": _does(os.setpriority, os.PRIO_PROCESS, 0, 19),
                "has its user be nicer": _does(os.setpriority, os.PRIO_USER, 0, _AS_IT_IS),
                "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
                "uses /dev/null": _does(_write, "/dev/null"),
                "reads /dev/urandom": _does(_read, "/dev/urandom"),
                "uses UDP": _does(_bind_udp),
                "connects to the host": _does(_connect_tcp, int(port)),
                "connects to an abstract socket": _does(_connect, "\0" + name),
                "shares memory": _does(_share_memory),
                "capabilities": _capabilities(),
                "makes a namespace": _does(_unshare),
                "no_new_privs": _LIBC.prctl(_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
                "host name": os.uname().nodename,
                # What it has opened itself since (libffi keeps one) is not to be inherited.
                "descriptors": [fd for fd in range(3, 256) if _does(_inherited, fd) == "yes"],
                "leads a session": os.getsid(0) == os.getpid(),
                "working directory": os.getcwd(),
                "environment": sorted(os.environ),
                "user": os.getuid(),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
