"""Where this process is in the hierarchies of cgroups."""

import os
import re
from typing import NamedTuple


class CgroupPlace(NamedTuple):
    """A cgroup in one hierarchy; ``version``: 1 or 2, ``path``: its directory."""

    version: int
    path: str


def of_this_process(controller: str = "memory") -> CgroupPlace | None:
    """The cgroup of this process in the hierarchy that has the controller; "" means that of version 2.

    None where no such hierarchy is mounted, or the cgroup is not below what is mounted. One of version 2
    is returned where no hierarchy of version 1 has the controller: whether it does is said by its files.
    Source: cgroups(7) /proc/PID/cgroup, proc_pid_mountinfo(5).
    """
    try:
        with open("/proc/self/cgroup") as file, open("/proc/self/mountinfo") as mounts:
            return find(file.read(), mounts.read(), controller)
    except OSError:
        return None


def find(memberships: str, mounts: str, controller: str = "memory") -> CgroupPlace | None:
    """The same, from the text of the two files. Only one version has a controller."""
    paths = {}
    for line in memberships.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            paths[2] = path
        elif controller in controllers.split(","):
            paths[1] = path
    version = min(paths, default=0)
    for line in mounts.splitlines():
        mount, kind = _read(line, controller)
        place = mount.place_of(paths[version]) if version and kind == version else None
        if place is not None:
            return CgroupPlace(version, place)
    return None


class _Mount(NamedTuple):
    root: str
    point: str

    def place_of(self, path: str) -> str | None:
        root = self.root.rstrip("/")
        if "/.." in path or (path != self.root and not path.startswith(root + "/")):
            return None
        return os.path.normpath(self.point + path[len(root) :])


def _read(line: str, controller: str) -> tuple[_Mount, int]:
    before, _, after = line.partition(" - ")
    root, point = map(_unescaped, before.split(" ")[3:5])
    kind, _, options = after.split(" ", 2)
    has_it = kind == "cgroup" and controller in options.rsplit(" ", 1)[-1].split(",")
    return _Mount(root, point), 2 if kind == "cgroup2" else 1 if has_it else 0


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
