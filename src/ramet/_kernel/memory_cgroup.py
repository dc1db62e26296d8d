"""Where this process is in the hierarchy of cgroups that limits memory."""

import os
import re
from typing import NamedTuple


class MemoryCgroup(NamedTuple):
    """The cgroup that limits the memory of a process; ``version``: 1 or 2, ``path``: its directory."""

    version: int
    path: str


def of_this_process() -> MemoryCgroup | None:
    """The one of this process; None where no such hierarchy is mounted, or it is not below what is mounted.

    Source: cgroups(7) /proc/PID/cgroup, proc_pid_mountinfo(5).
    """
    try:
        with open("/proc/self/cgroup") as file, open("/proc/self/mountinfo") as mounts:
            return find(file.read(), mounts.read())
    except OSError:
        return None


def find(memberships: str, mounts: str) -> MemoryCgroup | None:
    """The same, from the text of the two files. Only one version has the controller."""
    paths = {}
    for line in memberships.splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            paths[1] = path
        elif number == "0":
            paths[2] = path
    version = min(paths, default=0)
    for line in mounts.splitlines():
        mount, kind = _read(line)
        place = mount.place_of(paths[version]) if version and kind == version else None
        if place is not None:
            return MemoryCgroup(version, place)
    return None


class _Mount(NamedTuple):
    root: str
    point: str

    def place_of(self, path: str) -> str | None:
        root = self.root.rstrip("/")
        if "/.." in path or (path != self.root and not path.startswith(root + "/")):
            return None
        return os.path.normpath(self.point + path[len(root) :])


def _read(line: str) -> tuple[_Mount, int]:
    before, _, after = line.partition(" - ")
    root, point = map(_unescaped, before.split(" ")[3:5])
    kind, _, options = after.split(" ", 2)
    of_memory = kind == "cgroup" and "memory" in options.rsplit(" ", 1)[-1].split(",")
    return _Mount(root, point), 2 if kind == "cgroup2" else 1 if of_memory else 0


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
