"""As whom a confined child runs: an id that nobody else has, a subordinate id, or the caller's own."""

import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from ..._setup.step_reasons import likely_reason
from ...errors import spawn_error
from . import subordinate_ids
from .marked_memory import tried_again

# Ids that no convention gives to anyone (systemd's UIDS-GIDS.md, "Summary": 1879048192 to 2147483647).
_UNUSED_FIRST, _UNUSED_LAST = 1879048192, 2147483646
_INNER = 1000  # as which the child sees itself
_NOBODY = 65534


class Identity(NamedTuple):
    """The ids inside and outside, in a user namespace with these alone.

    is_callers: they are the caller's own. is_subordinate: this process may not map them itself.
    """

    inner_uid: int
    inner_gid: int
    outer_uid: int
    outer_gid: int
    is_callers: bool
    is_subordinate: bool = False

    @property
    def is_nobodys(self) -> bool:
        """Whether no convention gives the user outside to anyone."""
        return not self.is_callers and _UNUSED_FIRST <= self.outer_uid <= _UNUSED_LAST

    def maps(self) -> dict[str, bytes]:
        """The files of /proc/<pid> of a user namespace with these ids and no others, in their order."""
        lines = {
            "gid_map": b"%d %d 1\n" % (self.inner_gid, self.outer_gid),
            "uid_map": b"%d %d 1\n" % (self.inner_uid, self.outer_uid),
        }
        # A plain user may write its own gid only where setgroups(2) is denied for good.
        return {"setgroups": b"deny", **lines} if self.is_callers else lines

    def write_maps(self, pid: int) -> None:
        """Write them for the new user namespace of a child. Raises SpawnError."""
        inner, outer = (self.inner_uid, self.inner_gid), (self.outer_uid, self.outer_gid)
        if self.is_subordinate:
            subordinate_ids.write_maps(pid, inner, outer)
        else:
            _write(pid, self.maps())

    def write_maps_of_files(self, pid: int, uid: int, gid: int) -> None:
        """Write the maps for an idmapped mount, on which files of these ids belong to the child."""
        maps = {"gid_map": _swapped(gid, self.outer_gid), "uid_map": _swapped(uid, self.outer_uid)}
        _write(pid, maps)


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
    """For a plan's word: the caller's own ids, subordinate ones, or ids that nobody has."""
    uid, gid = os.geteuid(), os.getegid()
    if own_id == "subordinate id":
        return Identity(_INNER, _INNER, *subordinate_ids.one(), False, is_subordinate=True)
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
        with open(f"/proc/self/{name}", "rb", buffering=0) as file:
            lines = file.read().splitlines()
    except OSError:
        lines = [b"0 0 4294967296"]
    for line in lines:
        first, _, count = map(int, line.split())
        yield first, count


def _swapped(own: int, other: int) -> bytes:
    """Lines in which `own` stands for `other`, and all ids below `other` but it for themselves."""
    lines = [(own, other, 1)]
    if own > 0:
        lines.append((0, 0, own))
    if own + 1 < other:
        lines.append((own + 1, own + 1, other - own - 1))
    return b"".join(b"%d %d %d\n" % line for line in lines)


def _write(pid: int, files: Mapping[str, bytes]) -> None:
    for name, text in files.items():
        try:
            tried_again(partial(_write_file, f"/proc/{pid}/{name}", text))
        except OSError as error:
            number = error.errno or 0
            reason = likely_reason(f"write {name}", number)
            raise spawn_error(f"write {name}", number, f"/proc/{pid}/{name}", reason) from None


def _write_file(path: str, text: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(text)
