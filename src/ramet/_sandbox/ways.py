"""The way from a path of the description to what it leads to, which a child may have a hand in.

The caller follows symbolic links with its rights. One that lies below a path that is written may be the
work of a child that was in the sandbox before, in this process or another: it would lead to what the caller
may read, and is refused. The links are read one by one, and what they lead to is later opened without any
(RESOLVE_NO_SYMLINKS), so that none that is made meanwhile is followed.
"""

import os
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .description import is_below

_MOST_LINKS = 40  # as the kernel follows: path_resolution(7)


class Way(NamedTuple):
    """Where a path leads, and the links on the way: the place of each, without links, and its target."""

    real: str
    links: tuple[tuple[str, str], ...]


class Unsafe(NamedTuple):
    """Why a way is not gone, and what to do."""

    reason: str
    remedy: str


def way_of(path: str, known: dict[str, str | None] | None = None) -> Way:
    """The way of an absolute path.

    known: the targets of links that were read before, None for what is no link, to which this adds: for
    paths that are looked at together, most of which have a part of their ways in common.
    """
    at, left, links = "/", path.split("/"), dict[str, str]()
    known = {} if known is None else known
    followed = 0
    while left:
        name = left.pop(0)
        if name in ("", "."):
            continue
        if name == "..":
            at = os.path.dirname(at)
            continue
        place = f"{at}/{name}" if at != "/" else f"/{name}"
        if place not in known:
            known[place] = _target(place)
        target = known[place] if followed < _MOST_LINKS else None
        if target is None:
            at = place
        else:
            followed += 1
            links[place] = target
            at, left = "/" if target.startswith("/") else at, target.split("/") + left
    return Way(at, tuple(links.items()))


def led_to(paths: Sequence[str]) -> tuple[bytes, bytes]:
    """The paths, and which files they lead to now, as same_files() takes them; zeros where that is none."""
    words = [word for path in paths for word in _identity(path)]
    return b"".join(os.fsencode(path) + b"\0" for path in paths), struct.pack(
        f"={len(words)}Q", *words
    )


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _target(place: str) -> str | None:
    """That of a link; None for what is none, and for one of /proc that this caller may not read.

    What lies behind such a one cannot be opened either, and is told of where that is tried.
    """
    try:
        return os.readlink(place) if os.path.islink(place) else None
    except OSError:
        return None


def written_directories(write: Iterable[str]) -> tuple[str, ...]:
    """What the paths of ``write`` are without links: below these a link may be a child's."""
    return tuple(dict.fromkeys(map(os.path.realpath, write)))


def why_unsafe(path: str, way: Way, written: Iterable[str]) -> Unsafe | None:
    """The reason not to follow a link on the way; None where all links are out of the child's reach."""
    for link, target in way.links:
        cover = next((one for one in written if is_below(link, one) and link != one), None)
        if cover is not None:
            return Unsafe(
                f"{path!r} leads through the symbolic link {link!r} to {target!r}: the link is below "
                f"{cover!r}, a path of write, where what was confined may have made it",
                f"look where it leads; then remove the link, or name {way.real!r} itself",
            )
    return None
