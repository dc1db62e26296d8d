"""Below which cgroups this process may make those of a sandbox."""

import os
from pathlib import Path

from ..._kernel.cgroups import CgroupPlace, of_this_process
from ..._limits.memory_files import VERSION_1, VERSION_2
from ..._limits.memory_place import place_in_version_2, words_of

# The controllers of the amounts. "" stands for a hierarchy of version 2 with whatever it counts and does
# without any: processor time (Linux 4.15) and cgroup.kill (5.14).
CONTROLLERS = ("memory", "pids", "cpu", "cpuacct", "")
_ONLY_IN_1 = "cpuacct"  # in version 2 every cgroup counts it


def find_places(wanted: frozenset[str]) -> dict[str, CgroupPlace]:
    """Where a cgroup can be made that has each controller; one that cannot be had is missing.

    A controller is in one hierarchy alone, of version 1 or of version 2. In version 2 this process may
    move to a child of its cgroup, see find_place() of the budgets.
    """
    places: dict[str, CgroupPlace] = {}
    in_version_2 = []
    for controller in CONTROLLERS:
        if controller not in wanted:
            continue
        own = of_this_process(controller)
        if own is None or not os.access(own.path, os.W_OK):
            continue
        if own.version == VERSION_1:
            places[controller] = own
        elif controller != _ONLY_IN_1:
            in_version_2.append((controller, Path(own.path)))
    if in_version_2:
        places |= _in_version_2(in_version_2[0][1], [controller for controller, _ in in_version_2])
    return places


def missing_in_version_2(wanted: frozenset[str], places: dict[str, CgroupPlace]) -> bool:
    """Whether there is a controller in version 2 that no place has, but a place could have."""
    missing = wanted - places.keys() - {"", _ONLY_IN_1}
    if not missing:
        return False
    own = of_this_process("")
    return own is not None and not missing.isdisjoint(words_of(_top(own) / "cgroup.controllers"))


def _top(own: CgroupPlace) -> Path:
    """The directory at which the hierarchy of version 2 is mounted."""
    path = Path(own.path)
    while (path.parent / "cgroup.controllers").exists():
        path = path.parent
    return path


def _in_version_2(own: Path, controllers: list[str]) -> dict[str, CgroupPlace]:
    """All that this cgroup can give its children: with every controller, or what there is of them."""
    needed = [each for each in controllers if each]
    there = [each for each in needed if each in words_of(own / "cgroup.controllers")]
    directory = place_in_version_2(own, there) if there else None
    if directory is None:
        directory = own
        there = [each for each in there if each in words_of(directory / "cgroup.subtree_control")]
    place = CgroupPlace(VERSION_2, str(directory))
    return dict.fromkeys([*there, *(each for each in controllers if not each)], place)
