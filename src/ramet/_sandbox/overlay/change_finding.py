"""Find what a layer changes: its directories compared with those that they lie over.

A child that is not trusted has written the layer, so nothing in it is followed, a fifo is not opened, and
how much is listed has a limit. What overlayfs marks it marks by attributes whose names a child cannot use.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from sys import getsizeof

from ..untrusted_files import (
    ONLY_A_PLACE,
    look,
    open_to_list,
    open_to_read,
    permit_owner,
    place_of,
    same_content,
)
from .layer import MODE_OF_ROOT, Layer, Part

__all__ = ["Change", "find_changes"]

# Far above what people have, and below what takes this process's descriptors, frames and memory. Names are
# counted over the whole walk, since the levels above one hold theirs meanwhile.
DEEPEST = 128
MOST_NAMES = 500_000
MOST_PATH_BYTES = 128 << 20

# Attributes of overlayfs: of the mounts of users, and of those in the initial user namespace.
_PREFIXES = ("user.overlay.", "trusted.overlay.")
_OPAQUE, _MARKED_WHITEOUTS = b"y", b"x"

WORDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a child has done to the files that it may write.

    ``kind``: "added", "modified", "deleted", "type changed" (a file where a directory was, and so on) or
    "attributes" (its permissions, or the time of its last change). ``path``: absolute, as the child has
    seen it; bytes that are no text are as os.fsdecode() gives them. ``what``: what is there by now, of a
    deletion what was there: "file", "directory", "symbolic link", "fifo", "socket" or "device". A deleted
    directory is one change, with all that is in it. ``size``: bytes of the new file; it may have holes.
    ``mode``: the new permissions, as the child has set them. ``points_to``: of a symbolic link, its text.
    """

    kind: str
    path: str
    what: str
    size: int = 0
    mode: int = 0
    points_to: str | None = None

    def __str__(self) -> str:
        about = f"{self.what}, {self.size} bytes" if self._has_size else self.what
        arrow = "" if self.points_to is None else f" -> {printable(self.points_to)}"
        return f"{self.kind} {printable(self.path)}{arrow} ({about})"

    @property
    def _has_size(self) -> bool:
        return self.what == "file" and self.kind != "deleted"


def printable(path: str) -> str:
    """The path without what would move a terminal's cursor or cannot be encoded."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in path
    )


@dataclass(frozen=True, slots=True)
class _Level:
    """A directory of the layer; ``lower``: that below it, or None where there is none.

    ``opaque``: whether the lower one does not show through, which holds for all directories in it, too.
    ``marked``: whether its whiteouts may be files with an attribute.
    """

    upper: int
    lower: int | None
    path: str
    depth: int
    opaque: bool
    marked: bool

    def old(self, name: str) -> os.stat_result | None:
        return None if self.lower is None else look(name, self.lower)


class _Walk:
    """Collects the changes of all parts, within one limit."""

    def __init__(self) -> None:
        self.found: list[Change] = []
        self.names = 0
        self.path_bytes = 0

    def part(self, part: Part, base: str) -> None:
        """Add the changes of one part."""
        with contextlib.ExitStack() as closing:
            upper = _opened(closing, f"{base}/{part.upper}")
            lower = _root_if_there(closing, part)
            if part.directory:
                self._root(part.path, upper, lower)
                self._directory(_level(upper, lower, part.path, 0, False))
            else:
                level = _Level(upper, lower, part.path, 0, opaque=False, marked=False)
                self._file(os.path.basename(part.target), level, part.path)

    def _root(self, path: str, upper: int, lower: int | None) -> None:
        new = os.fstat(upper)
        old = None if lower is None else os.fstat(lower)
        if old is None:  # others have removed it
            self._add("added", path, new)
        elif stat.S_IMODE(new.st_mode) != old.st_mode & MODE_OF_ROOT:
            self._add("attributes", path, new)
        permit_owner(upper)

    def _directory(self, level: _Level) -> None:
        if level.depth > DEEPEST:
            raise _too_much(errno.ELOOP, f"directories deeper than {DEEPEST}")
        names = set(self._names(level.upper))
        hidden: set[str] = set()
        if level.opaque and level.lower is not None:
            hidden = set(self._names(level.lower)) - names
        for name in sorted(names | hidden):
            path = f"{level.path}/{name}"
            if name in hidden:
                self._add("deleted", path, level.old(name))
            else:
                self._entry(name, level, path)

    def _names(self, place: int) -> Iterator[str]:
        """The names in a directory, as many as may still be listed."""
        listed = open_to_list(place)
        try:
            with os.scandir(listed) as entries:
                for entry in entries:
                    self.names += 1
                    if self.names > MOST_NAMES:
                        raise _too_much(errno.E2BIG, f"more than {MOST_NAMES} names")
                    yield entry.name
        finally:
            os.close(listed)

    def _entry(self, name: str, level: _Level, path: str) -> None:
        new = os.stat(name, dir_fd=level.upper, follow_symlinks=False)
        if _is_whiteout(name, level, new):
            self._add("deleted", path, level.old(name))
        elif stat.S_ISDIR(new.st_mode):
            self._subdirectory(name, level, path)
        else:
            self._file(name, level, path)

    def _subdirectory(self, name: str, level: _Level, path: str) -> None:
        old = level.old(name)
        with contextlib.ExitStack() as closing:
            upper = place_of(name, level.upper)
            closing.callback(os.close, upper)
            new = os.fstat(upper)
            self._add(_kind_of_directory(new, old), path, new)
            permit_owner(upper)
            lower = None
            if level.lower is not None and old is not None and stat.S_ISDIR(old.st_mode):
                lower = place_of(name, level.lower)
                closing.callback(os.close, lower)
            self._directory(_level(upper, lower, path, level.depth + 1, level.opaque))

    def _file(self, name: str, level: _Level, path: str) -> None:
        new = os.stat(name, dir_fd=level.upper, follow_symlinks=False)
        points_to = os.readlink(name, dir_fd=level.upper) if stat.S_ISLNK(new.st_mode) else None
        self._add(_kind_of_file(name, level, new, points_to), path, new, points_to)

    def _add(
        self,
        kind: str | None,
        path: str,
        about: os.stat_result | None,
        points_to: str | None = None,
    ) -> None:
        if kind is None or about is None:  # the same, or a whiteout of what others have deleted
            return
        # As this process holds them: a letter has four bytes where one of the path is beyond U+FFFF.
        self.path_bytes += getsizeof(path) + getsizeof(points_to)
        if self.path_bytes > MOST_PATH_BYTES:
            raise _too_much(errno.E2BIG, f"paths of more than {MOST_PATH_BYTES} bytes")
        what = WORDS.get(stat.S_IFMT(about.st_mode), "device")
        if kind == "deleted":
            self.found.append(Change(kind, path, what))
            return
        size = about.st_size if what == "file" else 0
        self.found.append(Change(kind, path, what, size, stat.S_IMODE(about.st_mode), points_to))


def find_changes(layer: Layer) -> list[list[Change]]:
    """The changes of each part: directories before what is in them, names in their order.

    Raises OSError: E2BIG or ELOOP when there are more than this process shall hold, EOPNOTSUPP for a form
    of overlayfs that Layer has switched off, and what reading gives.
    """
    walk = _Walk()
    ends = [0]
    for part in layer.parts:
        walk.part(part, layer.directory)
        ends.append(len(walk.found))
    return [walk.found[start:end] for start, end in pairwise(ends)]


def _too_much(number: int, what: str) -> OSError:
    return OSError(
        number, f"invalid layer: expected no {what}; discard it, or give the child less to write"
    )


def _opened(closing: contextlib.ExitStack, path: str) -> int:
    place = os.open(path, ONLY_A_PLACE | os.O_DIRECTORY)
    closing.callback(os.close, place)
    return place


def _root_if_there(closing: contextlib.ExitStack, part: Part) -> int | None:
    try:
        place = part.place_of_root()
    except (FileNotFoundError, NotADirectoryError):
        return None
    closing.callback(os.close, place)
    return place


# ---- what overlayfs has marked


def _level(upper: int, lower: int | None, path: str, depth: int, opaque: bool) -> _Level:
    """A directory with its marks; an opaque one is opaque all the way down, where marks may be missing."""
    if _mark(upper, "redirect") is not None:
        raise OSError(
            errno.EOPNOTSUPP,
            "invalid layer: expected one mounted with redirect_dir=nofollow, got a redirect",
            path,
        )
    mark = _mark(upper, "opaque")
    return _Level(upper, lower, path, depth, opaque or mark == _OPAQUE, mark == _MARKED_WHITEOUTS)


def _mark(place: int, name: str) -> bytes | None:
    for prefix in _PREFIXES:
        with contextlib.suppress(OSError):  # ENODATA: most have none
            return os.getxattr(f"/proc/self/fd/{place}", prefix + name)
    return None


def _is_whiteout(name: str, level: _Level, new: os.stat_result) -> bool:
    if stat.S_ISCHR(new.st_mode):
        return new.st_rdev == 0
    if not level.marked or not stat.S_ISREG(new.st_mode) or new.st_size:
        return False
    place = os.open(name, ONLY_A_PLACE, dir_fd=level.upper)
    try:
        return _mark(place, "whiteout") is not None
    finally:
        os.close(place)


# ---- what kind of change it is


def _kind_of_directory(new: os.stat_result, old: os.stat_result | None) -> str | None:
    if old is None:
        return "added"
    if not stat.S_ISDIR(old.st_mode):
        return "type changed"
    return None if new.st_mode == old.st_mode else "attributes"


def _kind_of_file(
    name: str, level: _Level, new: os.stat_result, points_to: str | None
) -> str | None:
    old = level.old(name)
    if old is None or level.lower is None:
        return "added"
    if stat.S_IFMT(new.st_mode) != stat.S_IFMT(old.st_mode):
        return "type changed"
    if points_to is not None:
        same = points_to == os.readlink(name, dir_fd=level.lower)
        return None if same else "modified"
    if stat.S_ISREG(new.st_mode) and not _same_file(name, level, new, old):
        return "modified"
    # A copy that overlayfs made since the file was opened to write has both of these from the file.
    same = (new.st_mode, new.st_mtime_ns) == (old.st_mode, old.st_mtime_ns)
    return None if same else "attributes"


def _same_file(name: str, level: _Level, new: os.stat_result, old: os.stat_result) -> bool:
    if new.st_size != old.st_size or level.lower is None:
        return False
    with contextlib.ExitStack() as closing:
        try:
            below = open_to_read(name, level.lower, own=False)
        except OSError:  # not ours to read, or another thing by now
            return False
        closing.callback(os.close, below)
        above = open_to_read(name, level.upper, own=True)
        closing.callback(os.close, above)
        return same_content(above, below)
