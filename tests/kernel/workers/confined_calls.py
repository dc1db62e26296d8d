"""What calls of the tests of confined templates call: a module that imports next to nothing."""

import ctypes
import mmap
import os
import resource
import select
import signal
import threading
import time
from pathlib import Path
from typing import Any

from ...constants import SYSTEM_CALLS

LITTLE_MEGABYTES = 50


def lines_of_status() -> dict[str, str]:
    """Of the process that asks."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: " ".join(value.split()) for name, value in (x.split(":", 1) for x in lines)}


def raw(name: str, *args: Any) -> int:
    """A system call by its number in tests/constants.py; 0, or its errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    answer = libc.syscall(ctypes.c_long(SYSTEM_CALLS[name]), *map(ctypes.c_long, args))
    if answer == 0 and name == "clone":
        os._exit(0)
    return ctypes.get_errno() if answer < 0 else 0


def of_libc(name: str, *args: Any) -> int:
    """A function of libc; 0, or its errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    return ctypes.get_errno() if getattr(libc, name)(*args) < 0 else 0


def ignored_and_handled() -> tuple[str, str]:
    """The signals, as the kernel tells them: proc_pid_status(5)."""
    lines = lines_of_status()
    return lines["SigIgn"], lines["SigCgt"]


def limit_of(name: str) -> tuple[int, int]:
    """Of the process that asks."""
    return resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))


def fill() -> int:
    """Take memory, much."""
    return len([bytearray(os.urandom(1)) * (1 << 20) for _ in range(400)])


def take_shared(megabytes: int) -> int:
    """Memory that RLIMIT_DATA does not count; too much of it is seen later, or at once."""
    memory = mmap.mmap(-1, megabytes << 20)
    for _ in range(megabytes):
        memory.write(bytes(1 << 20))
    if megabytes > LITTLE_MEGABYTES:
        select.select([], [], [])
    return megabytes


def a_thread_that_waits() -> None:
    """For ever."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def found(path: Path) -> tuple[str, list[str], int, str]:
    """As a call that is to see nothing of two, and may not write the third."""
    try:
        (path / "kept" / "file").write_text("of a call")
        refused = 0
    except OSError as error:
        refused = error.errno or -1
    kept = (path / "kept" / "file").read_text()
    return (path / "secret").read_text(), os.listdir(path / "hidden"), refused, kept


def fork_and_hang() -> None:
    """As two processes, one in a session of its own."""
    if os.fork() == 0:
        os.setsid()
    time.sleep(1000)


def leave_a_daemon() -> int:
    """As a call that returns, and leaves a process in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
    return os.getpid()


def descriptors() -> list[str]:
    """What this process has open, but for the list itself."""
    return [name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")]


def write(count: int, number: int = 1) -> None:
    """So many bytes to that descriptor."""
    written = 0
    while written < count:
        written += os.write(number, b"x" * (count - written))


def write_on(count: int) -> None:
    """And run on."""
    write(count)
    signal.pause()


def write_and_exit(count: int) -> None:
    """With status 0, before the call returns."""
    write(count)
    os._exit(0)


def write_anew(count: int) -> None:
    """As shells do for ``> /dev/stdout``, and tee for a file that it appends to."""
    for flags in (os.O_TRUNC, os.O_APPEND):
        anew = os.open("/proc/self/fd/1", os.O_WRONLY | flags)
        os.write(anew, b"x" * count)
        os.close(anew)
