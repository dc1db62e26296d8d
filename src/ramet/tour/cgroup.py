"""A temporary cgroup: a directory of version 2, made and removed again."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .row import NotPermitted

_LONGEST_SECONDS = 2.0
_PAUSE_SECONDS = 0.002


def parse_mount_point(mounts: str) -> str | None:
    """Where cgroup version 2 is mounted, from the text of /proc/PID/mounts: proc_pid_mounts(5)."""
    for line in mounts.splitlines():
        _, folder, kind, *_ = line.split(" ")
        if kind == "cgroup2":
            # Spaces and the like are written as three octal digits.
            return folder.encode().decode("unicode_escape").encode("latin-1").decode()
    return None


def parse_cgroups(text: str) -> dict[str, str]:
    """Path by hierarchy, that of version 2 being "0", from /proc/PID/cgroup's text: cgroups(7)."""
    lines = (line.split(":", 2) for line in text.splitlines())
    return {controllers or number: path for number, controllers, path in lines}


def cgroups_of(pid: int) -> dict[str, str]:
    """The cgroup of a task, in each hierarchy."""
    with open(f"/proc/{pid}/cgroup") as file:
        return parse_cgroups(file.read())


@contextmanager
def fresh_cgroup() -> Iterator[tuple[str, str]]:
    """A new cgroup, as a folder and as /proc names it: below the caller's own, or below the root.

    Raises NotPermitted where cgroup version 2 is not mounted or no folder can be made in it.
    """
    root, own = _mount_point(), cgroups_of(os.getpid()).get("0", "/")
    refusal = None
    for parent in dict.fromkeys((own, "/")):
        path = f"{parent.rstrip('/')}/ramet-tour-{os.getpid()}"
        try:
            os.mkdir(root + path)
        except OSError as error:
            refusal = error
            continue
        try:
            yield root + path, path
        finally:
            _remove(root + path)
        return
    raise NotPermitted(f"needs a cgroup v2 folder that this user may write to ({refusal})")


def _mount_point() -> str:
    with open("/proc/self/mounts") as mounts:
        folder = parse_mount_point(mounts.read())
    if folder is None:
        raise NotPermitted("needs cgroup version 2, which is not mounted here")
    return folder


def _remove(folder: str) -> None:
    """A task that was just reaped may count as a member for a moment longer."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    while True:
        try:
            return os.rmdir(folder)
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)
