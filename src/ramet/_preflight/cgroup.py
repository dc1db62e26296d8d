"""The cgroup that a request names, as the law describes it."""

import os
import stat

from ..law import Cgroup


def cgroup_behind(fd: int) -> Cgroup:
    """The cgroup behind a descriptor, as the law describes it.

    Source: Documentation/admin-guide/cgroup-v2.rst.
    """
    try:
        seen = os.fstat(fd)
    except OSError:
        return Cgroup(is_directory=False)
    if not stat.S_ISDIR(seen.st_mode):
        return Cgroup(is_directory=False)
    if os.readlink(f"/proc/self/fd/{fd}").endswith(" (deleted)"):
        return Cgroup(removed=True)
    return Cgroup(
        is_directory=os.access("cgroup.controllers", os.F_OK, dir_fd=fd),
        writable=os.access("cgroup.procs", os.W_OK, dir_fd=fd, effective_ids=True),
        domain_invalid=_read_in(fd, "cgroup.type") == "domain invalid",
        domain_controllers=bool(
            _read_in(fd, "cgroup.type") and _read_in(fd, "cgroup.subtree_control")
        ),
    )


def _read_in(directory: int, name: str) -> str:
    """The file's text; empty when there is no such file, as in the root cgroup."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return ""
    with open(file) as lines:
        return lines.read().strip()
