"""Named paths that each child mounts for itself, in a root directory that it shares with others.

That root has an empty place for each: the first part of its way that the root would not have otherwise.
There the child mounts a small directory of its own, in which the rest of the way is made, so that no other
sees a name of it. What is below /tmp goes to the /tmp that each child has anyway.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from ..._kernel import mounts
from ..._kernel.names import AT_FDCWD
from ..._setup.order import Slots, Steps
from ..description import Sandbox, is_below
from ..own_places import OWN_DIRECTORY
from ..view import TMP, Place, Shown, View, named_paths, parents
from .own_files import add_mount
from .root import move_mount, open_shown

PASSWD = "/etc/passwd"
_PROC = "/proc"
# Covered by the /dev/shm that each child mounts afterwards.
_STAGE = b"/dev/shm"
_STAGE_FLAGS, _STAGE_DATA = mounts.MS_NOSUID | mounts.MS_NODEV, b"mode=755,size=1m"
_PASSWD_IN_STAGE = _STAGE + b"/passwd"
_READ_ONLY = mounts.ATTR_RDONLY | mounts.ATTR_NOSUID | mounts.ATTR_NODEV
_FILE = 0o100644

_ByPlace: TypeAlias = Mapping[str, Sequence[Shown]]


class OwnPaths(NamedTuple):
    """shown: what each child mounts. by_place: the same by where the root has a place for it, or TMP."""

    shown: tuple[Shown, ...]
    by_place: _ByPlace

    @property
    def places(self) -> frozenset[Place]:
        """What the root is to have for them."""
        return places_of(self.by_place)


class Taken(NamedTuple):
    """What a root has itself.

    paths: where a file or directory of the caller's, a link, or what each child mounts is. between: the
    directories above these, in which there can be places.
    """

    paths: frozenset[str]
    between: frozenset[str]
    tmp_is_empty: bool


def taken_by(view: View) -> Taken:
    """What the root of that view has, but for the paths that its description names."""
    others = [one.path for one in view.shown if not one.named]
    links = [path for path, _ in view.links]
    paths = frozenset((*others, *view.made, *links, OWN_DIRECTORY, _PROC))
    between = frozenset(("/", TMP, *(above for path in paths for above in parents(path))))
    return Taken(paths, between, not any(is_below(path, TMP) for path in paths))


def own_paths(sandbox: Sandbox, taken: Taken) -> OwnPaths | None:
    """What the description names, if each child can mount it in such a root. Raises as view_of() does."""
    named, links = named_paths(sandbox)
    if links:
        return None
    found = by_place(named, taken)
    return None if found is None else OwnPaths(tuple(named), found)


def by_place(named: Sequence[Shown], taken: Taken) -> _ByPlace | None:
    """By the place of each; None where one can have none: it is in, or above, what the root has itself."""
    ordered = sorted(named, key=lambda one: one.path + "/")
    if any(is_below(lower.path, upper.path) for upper, lower in pairwise(ordered)):
        return None
    found: dict[str, list[Shown]] = {}
    for one in named:
        place = _place(one.path, taken)
        if place is None:
            return None
        found.setdefault(place, []).append(one)
    return found


def _place(path: str, taken: Taken) -> str | None:
    if is_below(path, TMP):
        return TMP if taken.tmp_is_empty and path != TMP else None
    parts = (*parents(path), path)
    first = next((part for part in parts if part not in taken.between), None)
    return None if first in taken.paths else first


def places_of(found: _ByPlace) -> frozenset[Place]:
    """What a root is to have for them: a file for one, where its place is that itself."""
    return frozenset(
        Place(place, ones[0].is_directory or ones[0].path != place)
        for place, ones in found.items()
        if place != TMP
    )


def open_own_paths(steps: Steps, own: OwnPaths, mapped: Mapping[str, int], slots: Slots) -> None:
    """Open them, in the caller's mount namespace. mapped: see add_root()."""
    open_shown(steps, enumerate(own.shown, slots.first), mapped, slots.least)


def mount_own_paths(steps: Steps, own: OwnPaths, slots: Slots, passwd: bytes | None) -> None:
    """Mount those that are not below /tmp, before /dev/shm is. passwd: the text of an own /etc/passwd."""
    outside = [(place, ones) for place, ones in own.by_place.items() if place != TMP]
    covered = [(place, ones) for place, ones in outside if ones[0].path != place]
    if covered or passwd is not None:
        add_mount(steps, b"tmpfs", _STAGE, _STAGE_FLAGS, _STAGE_DATA)
    for number, (place, ones) in enumerate(covered):
        _cover(steps, place, ones, _STAGE + b"/%d" % number)
    if passwd is not None:
        _mkfile(steps, _PASSWD_IN_STAGE)
        steps.add(
            *("write", "WRITE", AT_FDCWD, _PASSWD_IN_STAGE, passwd, len(passwd)),
            file=os.fsencode(PASSWD),
        )
        _show(steps, _PASSWD_IN_STAGE, os.fsencode(PASSWD))
    _move(steps, own, (one for _, ones in outside for one in ones), slots)


def mount_below_tmp(steps: Steps, own: OwnPaths, slots: Slots) -> None:
    """Mount the others, in the /tmp that the child has mounted."""
    below = own.by_place.get(TMP, ())
    _make_ways(steps, below, TMP, os.fsencode(TMP))
    _move(steps, own, below, slots)


def _cover(steps: Steps, place: str, ones: Sequence[Shown], staged: bytes) -> None:
    """A directory with nothing in it but the ways to these and their places."""
    _mkdir(steps, staged)
    _make_ways(steps, ones, place, staged)
    _show(steps, staged, os.fsencode(place))


def _show(steps: Steps, staged: bytes, at: bytes) -> None:
    steps.add("mount(MS_BIND)", "MOUNT", staged, at, 0, mounts.MS_BIND, 0, file=at)
    attribute = mounts.mount_attr(_READ_ONLY)
    steps.add(
        *("mount_setattr", "MOUNT_SETATTR", AT_FDCWD, at, 0, attribute, mounts.MOUNT_ATTR_SIZE),
        file=at,
    )


def _make_ways(steps: Steps, ones: Sequence[Shown], place: str, made: bytes) -> None:
    """Below the directory that is made for a place."""
    for path in dict.fromkeys(_ways(ones, place)):
        _mkdir(steps, made + os.fsencode(path.removeprefix(place)))
    for one in ones:
        where = made + os.fsencode(one.path.removeprefix(place))
        (_mkdir if one.is_directory else _mkfile)(steps, where)


def _ways(ones: Iterable[Shown], place: str) -> Iterator[str]:
    for one in ones:
        yield from (way for way in parents(one.path) if is_below(way, place) and way != place)


def _move(steps: Steps, own: OwnPaths, ones: Iterable[Shown], slots: Slots) -> None:
    for one in ones:
        move_mount(steps, slots.first + own.shown.index(one), os.fsencode(one.path))


def _mkdir(steps: Steps, path: bytes) -> None:
    steps.add("mkdir", "MKDIRAT", AT_FDCWD, path, 0o755, file=path)
    _let_others_in(steps, path, 0o755)


def _mkfile(steps: Steps, path: bytes) -> None:
    steps.add("mknod", "MKNODAT", AT_FDCWD, path, _FILE, 0, file=path)
    _let_others_in(steps, path, 0o644)


def _let_others_in(steps: Steps, path: bytes, mode: int) -> None:
    # The child keeps its umask, which is the caller's, and that may have let nobody search it.
    steps.add("chmod", "FCHMODAT", AT_FDCWD, path, mode, file=path)
