"""The numbers of users and groups by name, remembered for as long as the files say the same.

A look-up takes as long as half a clone call. What was found is remembered only where libc asks files
before all else, and where it is in them: of any other source nobody tells when it changes. A root, a
mount namespace or a file of another kind shows itself by another inode, or by other times.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

_SWITCH, _PASSWD, _GROUP = "/etc/nsswitch.conf", "/etc/passwd", "/etc/group"
_NUMBER_FIELD = 2  # in a line of either file
# A change shows by its time, which is only as fine as the kernel's clock; some file systems have seconds.
_LEAST_AGE_NS = 2_000_000_000

Seen: TypeAlias = tuple[int, ...] | None

_known: dict[tuple[str, str], tuple[Seen, int]] = {}
_MOST_KNOWN = 256


def seen() -> Seen:
    """What tells whether the files are still the same; None where one is missing."""
    try:
        switch, passwd, group = os.stat(_SWITCH), os.stat(_PASSWD), os.stat(_GROUP)
    except OSError:
        return None
    # Whatever changes a file changes the last of these.
    return (
        *(switch.st_dev, switch.st_ino, switch.st_ctime_ns),
        *(passwd.st_dev, passwd.st_ino, passwd.st_ctime_ns),
        *(group.st_dev, group.st_ino, group.st_ctime_ns),
    )


def uid(name: str, now: Seen) -> int:
    """The number of a user, KeyError for none; now: what seen() has just said."""
    return _number(_PASSWD, "passwd", name, now, _uid)


def gid(name: str, now: Seen) -> int:
    """The number of a group, as uid()."""
    return _number(_GROUP, "group", name, now, _gid)


def _uid(name: str) -> int:
    import pwd  # only who gives a name needs it

    return pwd.getpwnam(name).pw_uid


def _gid(name: str) -> int:
    import grp

    return grp.getgrnam(name).gr_gid


def _number(file: str, database: str, name: str, now: Seen, look_up: Callable[[str], int]) -> int:
    known = _known.get((file, name))
    if known is not None and known[0] == now:
        return known[1]
    number = look_up(name)
    if now is not None and _is_settled(now) and _files_say(file, database, name, number):
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[file, name] = now, number
    return number


def _is_settled(now: tuple[int, ...]) -> bool:
    return max(now[2::3]) < time.time_ns() - _LEAST_AGE_NS


def _files_say(file: str, database: str, name: str, number: int) -> bool:
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
