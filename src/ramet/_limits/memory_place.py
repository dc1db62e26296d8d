"""Where this process may make cgroups that limit memory."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from .._kernel.cgroups import CgroupPlace, of_this_process
from . import cgroup_names
from .memory_files import VERSION_1, VERSION_2

_OF_CALLER = "caller"
_OF_MEMORY = ("memory",)
_DELEGATED = ("user.delegate", "trusted.delegate")  # xattrs of systemd's


def find_place() -> CgroupPlace | None:
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
    place = place_in_version_2(Path(own.path), _OF_MEMORY)
    return None if place is None else CgroupPlace(VERSION_2, str(place))


def place_in_version_2(own: Path, controllers: Sequence[str]) -> Path | None:
    """The cgroup of version 2 below which others with all of these controllers can be made.

    own: this process's. None where there is none.
    """
    if cgroup_names.is_of(own.name, _OF_CALLER):
        own = own.parent
    if _has_all(own / "cgroup.subtree_control", controllers):
        return own
    if not _has_all(own / "cgroup.controllers", controllers):
        return None
    if words_of(own / "cgroup.type") not in ([], ["domain"]):
        return None
    return own if _enable(own, controllers) or _enable_beside_us(own, controllers) else None


def _has_all(file: Path, controllers: Sequence[str]) -> bool:
    return set(controllers) <= set(words_of(file))


def _enable(directory: Path, controllers: Sequence[str]) -> bool:
    try:
        (directory / "cgroup.subtree_control").write_text(
            " ".join(f"+{each}" for each in controllers)
        )
    except OSError:  # EBUSY: there are processes in it
        return False
    return True


def _enable_beside_us(own: Path, controllers: Sequence[str]) -> bool:
    if not _is_delegated(own) or words_of(own / "cgroup.procs") != [str(os.getpid())]:
        return False
    leaf = own / cgroup_names.new(_OF_CALLER)
    try:
        leaf.mkdir()
        (leaf / "cgroup.procs").write_text("0")
    except OSError:
        with contextlib.suppress(OSError):
            leaf.rmdir()
        return False
    if _enable(own, controllers):
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


def words_of(file: Path) -> list[str]:
    """What a file of a cgroup names, one after the other; nothing where it cannot be read."""
    try:
        return file.read_text().split()
    except OSError:
        return []
