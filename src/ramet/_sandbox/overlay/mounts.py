"""What is mounted where, as /proc/self/mountinfo tells it."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..._kernel.procfs import number_of_mount

_ESCAPED = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line: the number of the mount, the directory where it is, the name of its file system's type."""

    number: int
    place: str
    file_system: str


def mounts() -> Iterator[Mount]:
    """All mounts that this process can see. Source: proc_pid_mountinfo(5)."""
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            fields, _, rest = line.partition(b" - ")
            number, _, _, _, place, *_ = fields.split(b" ")
            yield Mount(int(number), _as_path(place), os.fsdecode(rest.split(b" ")[0]))


def _as_path(written: bytes) -> str:
    """A path in which blanks, line ends and backslashes are written as octal numbers."""
    return os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), written))


def file_system_of(directory: int) -> str:
    """The type of the file system of an open directory; empty where the mount cannot be seen."""
    number = number_of_mount(directory)
    return next((mount.file_system for mount in mounts() if mount.number == number), "")
