"""Calls of libc and the kernel that Python lacks, for the objects of the stage."""

import ctypes
import os
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.shmat.restype = ctypes.c_void_p

SYS_ADD_KEY, SYS_KEYCTL, SYS_IOPRIO_GET = 248, 250, 252  # x86_64
KEYCTL_SETPERM, KEYCTL_LINK, KEYCTL_UNLINK, KEYCTL_READ = 5, 8, 9, 11
KEYCTL_JOIN_SESSION_KEYRING = 1
SESSION_KEYRING, USER_KEYRING = -3, -4
IPC_CREAT, IPC_RMID, IPC_NOWAIT, SETVAL, GETVAL = 0o1000, 0, 0o4000, 16, 12


def called(name: str, *arguments: Any) -> int:
    """What that function gives; raises OSError for a negative number."""
    done = int(getattr(_libc, name)(*arguments))
    if done < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return done


def syscall(number: int, *arguments: Any) -> int:
    """The same for a call of the kernel."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    return called("syscall", ctypes.c_long(number), *words)


def keyctl(what: int, *arguments: Any) -> int:
    """keyctl(2)."""
    return syscall(SYS_KEYCTL, what, *arguments)


class Message(ctypes.Structure):
    """struct msgbuf of msgsnd(2)."""

    _fields_ = (("kind", ctypes.c_long), ("text", ctypes.c_char * 128))


class QueueAttributes(ctypes.Structure):
    """struct mq_attr of mq_getattr(3)."""

    _fields_ = (
        ("flags", ctypes.c_long),
        ("most", ctypes.c_long),
        ("size", ctypes.c_long),
        ("now", ctypes.c_long),
        ("reserved", ctypes.c_long * 4),
    )


def handle_of(path: str) -> str:
    """The handle of a file as TYPE:HEX, or "" on a file system that has none."""
    room = ctypes.create_string_buffer(136)
    ctypes.memmove(room, (128).to_bytes(4, "little"), 4)
    mount = ctypes.c_int()
    try:
        called("name_to_handle_at", -100, os.fsencode(path), room, ctypes.byref(mount), 0)
    except OSError:
        return ""
    size = int.from_bytes(room.raw[:4], "little")
    return f"{int.from_bytes(room.raw[4:8], 'little')}:{room.raw[8 : 8 + size].hex()}"


def shared_memory_at(identifier: int) -> int:
    """Attach SysV memory; its address."""
    return int(_libc.shmat(identifier, None, 0))
