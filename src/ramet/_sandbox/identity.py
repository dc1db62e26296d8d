"""As whom a confined child runs: an id that nobody else has, or the caller's own."""

import os
from collections.abc import Iterator
from typing import NamedTuple

# Ids that no convention gives to anyone (systemd's UIDS-GIDS.md, "Summary": 1879048192 to 2147483647).
_UNUSED_FIRST, _UNUSED_LAST = 1879048192, 2147483646
_INNER = 1000  # as which the child sees itself
_NOBODY = 65534


class Identity(NamedTuple):
    """The ids inside and outside; ``maps``: what is written for a user namespace with them."""

    inner_uid: int
    inner_gid: int
    outer_uid: int
    outer_gid: int
    is_callers: bool

    def maps(self) -> tuple[tuple[str, bytes], ...]:
        """The files of /proc/<pid> of a user namespace with these ids and no others."""
        lines = (
            ("gid_map", b"%d %d 1\n" % (self.inner_gid, self.outer_gid)),
            ("uid_map", b"%d %d 1\n" % (self.inner_uid, self.outer_uid)),
        )
        # A plain user may write its own gid only where setgroups(2) is denied for good.
        return (("setgroups", b"deny"), *lines) if self.is_callers else lines

    def maps_of_files(self, uid: int, gid: int) -> tuple[tuple[str, bytes], ...]:
        """For an idmapped mount, on which files of these ids belong to the child."""
        return (
            ("gid_map", _swapped(gid, self.outer_gid)),
            ("uid_map", _swapped(uid, self.outer_uid)),
        )


def fresh() -> Identity | None:
    """An id that no process has, for one child alone; None where the caller's user namespace has none."""
    uids, gids = list(_mapped("uid_map")), list(_mapped("gid_map"))
    if not all(any(_is_whole(*one) for one in ranges) for ranges in (uids, gids)):
        return None
    uid, gid = _unused("uid_map"), _unused("gid_map")
    return Identity(uid, gid, uid, gid, False)


def _is_whole(first: int, count: int) -> bool:
    """Whether such a range has all ids that no convention gives to anyone."""
    return first <= _UNUSED_FIRST and first + count > _UNUSED_LAST


def identity(own_id: str) -> Identity:
    """For a plan's word: the caller's own ids, or ids that nobody has."""
    uid, gid = os.geteuid(), os.getegid()
    if own_id != "unused id":
        return Identity(uid, gid, uid, gid, True)
    outer_uid, outer_gid = _unused("uid_map"), _unused("gid_map")
    return Identity(_INNER, _INNER, outer_uid, outer_gid, False)


def _unused(name: str) -> int:
    """One of the unused ids that this user namespace has, else nobody's."""
    chosen = _UNUSED_FIRST + int.from_bytes(os.urandom(4), "little") % (
        _UNUSED_LAST - _UNUSED_FIRST
    )
    ranges = list(_mapped(name))
    if any(first <= chosen < first + count for first, count in ranges):
        return chosen
    return (
        _NOBODY
        if any(first <= _NOBODY < first + count for first, count in ranges)
        else ranges[-1][0]
    )


def _mapped(name: str) -> Iterator[tuple[int, int]]:
    try:
        with open(f"/proc/self/{name}", encoding="ascii") as file:
            for line in file:
                first, _, count = map(int, line.split())
                yield first, count
    except OSError:
        yield 0, 1 << 32


def _swapped(own: int, other: int) -> bytes:
    """Lines in which `own` stands for `other`, and all ids below `other` but it for themselves."""
    lines = [(own, other, 1)]
    if own > 0:
        lines.append((0, 0, own))
    if own + 1 < other:
        lines.append((own + 1, own + 1, other - own - 1))
    return b"".join(b"%d %d %d\n" % line for line in lines)
