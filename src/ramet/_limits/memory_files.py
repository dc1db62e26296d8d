"""The files of a cgroup that limits memory, in both versions."""

import contextlib
import os
from typing import NamedTuple

from .byte_counts import LARGEST_BYTES

VERSION_1, VERSION_2 = 1, 2

_READ_BYTES = 4096


class Names(NamedTuple):
    """How one version names them."""

    limit: str
    limit_of_swap: str  # version 1: of memory and swap together; version 2: of swap
    usage: str
    peak: str
    reclaim: str
    entry: str


# Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst. A thread that writes itself into `tasks`
# waits for no other; into `cgroup.procs`, which version 2 has alone, it waits for a grace period of the
# kernel's.
NAMES = {
    VERSION_1: Names(
        limit="memory.limit_in_bytes",
        limit_of_swap="memory.memsw.limit_in_bytes",
        usage="memory.usage_in_bytes",
        peak="memory.max_usage_in_bytes",
        reclaim="memory.force_empty",
        entry="tasks",
    ),
    VERSION_2: Names(
        limit="memory.max",
        limit_of_swap="memory.swap.max",
        usage="memory.current",
        peak="memory.peak",
        reclaim="memory.reclaim",
        entry="cgroup.procs",
    ),
}


# Version 1 counts apart what TCP and UDP hold, and nothing as long as there is no limit; version 2 charges
# it with all else. Source: mm/memcontrol-v1.c, memcg1_charge_skmem(); memory.rst, section 2.7.2.
_LIMIT_OF_SOCKETS = "memory.kmem.tcp.limit_in_bytes"


def set_limit(directory: int, version: int, budget_bytes: int, swap_bytes: int = 0) -> None:
    """Limit what all in the cgroup have together, and what may be swapped out besides."""
    names = NAMES[version]
    write(directory, names.limit, budget_bytes)
    with contextlib.suppress(OSError):  # no swap is configured, or it is not counted
        both = min(budget_bytes + swap_bytes, LARGEST_BYTES)
        write(directory, names.limit_of_swap, both if version == VERSION_1 else swap_bytes)
    if version == VERSION_1:
        with contextlib.suppress(OSError):  # this kernel does not count it
            write(directory, _LIMIT_OF_SOCKETS, budget_bytes)


def is_there(directory: int) -> bool:
    """Whether the cgroup still is: one that was removed has no files."""
    try:
        os.stat("cgroup.procs", dir_fd=directory)
    except FileNotFoundError:
        return False
    return True


def usage(directory: int, version: int) -> int:
    """The bytes that are charged to the cgroup, its page cache included."""
    return int(read(directory, NAMES[version].usage))


def reclaim(directory: int, version: int) -> None:
    """Have the kernel free all that it can. Needs: version 2 since Linux 5.19."""
    with contextlib.suppress(OSError):  # EAGAIN, EBUSY: less was freed than there is
        amount = usage(directory, version) if version == VERSION_2 else 0
        write(directory, NAMES[version].reclaim, amount)


def write(directory: int, name: str, value: object) -> None:
    """Write to a file of the directory behind that descriptor."""
    file = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.write(file, str(value).encode())
    finally:
        os.close(file)


def read(directory: int, name: str) -> str:
    """What a file of the directory says."""
    file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(file, _READ_BYTES).decode().strip()
    finally:
        os.close(file)
