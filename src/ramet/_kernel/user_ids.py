"""User and group ids by name, cached as long as the files they came from do not change.

A look-up takes half as long as a clone call. It is cached only when libc looks into the files first and
the name is in them: of no other source is it known when it changes. After chroot, in another mount
namespace, or when a file was replaced, the inode or the change time differs.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

_SWITCH, _PASSWD, _GROUP = "/etc/nsswitch.conf", "/etc/passwd", "/etc/group"
_NUMBER_FIELD = 2  # in a line of either file
# Two changes within one tick have the same change time; on some file systems a tick is a second.
_LEAST_AGE_NS = 2_000_000_000

FileVersions: TypeAlias = tuple[int, ...] | None

_known: dict[tuple[str, str], tuple[FileVersions, int]] = {}
_MOST_KNOWN = 256


def file_versions() -> FileVersions:
    """Inodes and change times of the files, which tell whether one has changed; None if one is missing."""
    try:
        switch, passwd, group = os.stat(_SWITCH), os.stat(_PASSWD), os.stat(_GROUP)
    except OSError:
        return None
    return (
        *(switch.st_dev, switch.st_ino, switch.st_ctime_ns),
        *(passwd.st_dev, passwd.st_ino, passwd.st_ctime_ns),
        *(group.st_dev, group.st_ino, group.st_ctime_ns),
    )


def uid(name: str, now: FileVersions) -> int:
    """The id of a user, KeyError when there is none; now: what file_versions() has just returned."""
    return _number(_PASSWD, "passwd", name, now, _uid)


def gid(name: str, now: FileVersions) -> int:
    """The id of a group, as uid()."""
    return _number(_GROUP, "group", name, now, _gid)


def _uid(name: str) -> int:
    import pwd  # needed for names only

    return pwd.getpwnam(name).pw_uid


def _gid(name: str) -> int:
    import grp

    return grp.getgrnam(name).gr_gid


def _number(
    file: str, database: str, name: str, now: FileVersions, look_up: Callable[[str], int]
) -> int:
    known = _known.get((file, name))
    if known is not None and known[0] == now:
        return known[1]
    number = look_up(name)
    if now is not None and _is_settled(now) and _is_in_file(file, database, name, number):
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[file, name] = now, number
    return number


def _is_settled(now: tuple[int, ...]) -> bool:
    """Whether the last change is so old that the next one will have another time."""
    return max(now[2::3]) < time.time_ns() - _LEAST_AGE_NS


def _is_in_file(file: str, database: str, name: str, number: int) -> bool:
    """Whether libc looks into the file first, and finds this number there."""
    sources = next((line[1:] for line in _lines(_SWITCH, None) if line[0] == f"{database}:"), [])
    if sources[:1] != ["files"]:
        return False
    first = next((line for line in _lines(file, ":") if line[0] == name), [])
    return first[_NUMBER_FIELD : _NUMBER_FIELD + 1] == [str(number)]


def _lines(file: str, separator: str | None) -> Iterator[list[str]]:
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as lines:
            yield from filter(None, (line.split(separator) for line in lines))
    except OSError:
        return
