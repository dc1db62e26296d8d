"""Where this process may make cgroups that limit memory."""

import contextlib
import os
from pathlib import Path

from .._kernel.memory_cgroup import MemoryCgroup, of_this_process
from . import cgroup_names
from .memory_files import VERSION_1, VERSION_2

_OF_CALLER = "caller"
_DELEGATED = ("user.delegate", "trusted.delegate")  # xattrs of systemd's


def find_place() -> MemoryCgroup | None:
    """The cgroup below which budgets can be made: that of this process. None where none can be.

    In version 2 a cgroup with processes has no children that limit memory. So where this process is alone
    in its cgroup, and that is delegated to it, it is moved to a child of it, once; the limits of the
    cgroup go on holding. Processes that it starts later are there, too.
    Source: Documentation/admin-guide/cgroup-v2.rst, No Internal Process Constraint, Delegation.
    """
    own = of_this_process()
    if own is None or not os.access(own.path, os.W_OK):
        return None
    if own.version == VERSION_1:
        return own
    place = _place_in_version_2(Path(own.path))
    return None if place is None else MemoryCgroup(VERSION_2, str(place))


def _place_in_version_2(own: Path) -> Path | None:
    if cgroup_names.is_of(own.name, _OF_CALLER):
        own = own.parent
    if _limits_children(own):
        return own
    if "memory" not in _words(own / "cgroup.controllers"):
        return None
    if _words(own / "cgroup.type") not in ([], ["domain"]):
        return None
    return own if _enable(own) or _enable_beside_us(own) else None


def _limits_children(directory: Path) -> bool:
    return "memory" in _words(directory / "cgroup.subtree_control")


def _enable(directory: Path) -> bool:
    try:
        (directory / "cgroup.subtree_control").write_text("+memory")
    except OSError:  # EBUSY: there are processes in it
        return False
    return True


def _enable_beside_us(own: Path) -> bool:
    if not _is_delegated(own) or _words(own / "cgroup.procs") != [str(os.getpid())]:
        return False
    leaf = own / cgroup_names.new(_OF_CALLER)
    try:
        leaf.mkdir()
        (leaf / "cgroup.procs").write_text("0")
    except OSError:
        with contextlib.suppress(OSError):
            leaf.rmdir()
        return False
    if _enable(own):
        return True
    with contextlib.suppress(OSError):  # another process has come into it meanwhile
        (own / "cgroup.procs").write_text("0")
        leaf.rmdir()
    return False


def _is_delegated(own: Path) -> bool:
    """Whether it is ours to arrange: a plain user can write only to what is; root can write to all."""
    if os.geteuid():
        return os.access(own / "cgroup.procs", os.W_OK)
    return any(_attribute(own, name) == b"1" for name in _DELEGATED)


def _attribute(path: Path, name: str) -> bytes:
    try:
        return os.getxattr(path, name)
    except OSError:
        return b""


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
