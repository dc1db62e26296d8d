"""The caller's files over which something is mounted in a sandbox: whether it is so still.

The kernel takes a mount away, in whatever namespace, with the file at which it is: when that is removed, or
another is renamed over it. A sandbox that was made before sees the new file then, and may write it where it
may write what is around it. Source: fs/namei.c, detach_mounts(), in the kernel; rename(2), unlink(2).
"""

import os
from collections.abc import Sequence
from typing import TypeAlias

from ..._core import file_identities
from ..description import Sandbox, is_below
from ..view import Shown, View, has_own_tmp

# Paths, a 0 after each, and which files they are, so that no later one is taken for them.
MountPoints: TypeAlias = tuple[bytes, bytes]
ON_NOTHING = b"", b""


def identified(paths: Sequence[str]) -> MountPoints:
    """These, as they are now."""
    named = b"".join(os.fsencode(path) + b"\0" for path in paths)
    return named, file_identities(named)


def are_mounted(points: MountPoints) -> bool:
    """Whether none of them has been replaced."""
    named, identities = points
    return not named or file_identities(named) == identities


def mount_points(sandbox: Sandbox, view: View) -> list[str]:
    """Paths of the caller's at which something is mounted in that root, or in a child's copy of it.

    Not those of which a child may do the same without that mount.
    """
    image = None if sandbox.root == "/" or view.root is None else view.root.path
    found = []
    for one in (*view.shown, *view.hidden):
        above = _above(one, view)
        if above is None and view.root is None:
            continue  # it is mounted in a file system of the sandbox's own
        if above is None and image is not None:
            found.append(image + one.path)
            continue
        may_be_written = above is not None and above.writable
        if one in view.hidden or one.part_of or one.writable != may_be_written:
            found.append(one.path)
    if image is not None:
        needed = {"/dev": True, "/proc": sandbox.proc, "/tmp": has_own_tmp(sandbox, view)}
        found += [image + place for place, is_needed in needed.items() if is_needed]
    return list(dict.fromkeys(found))


def _above(one: Shown, view: View) -> Shown | None:
    """The deepest directory that is shown and in which it is."""
    above = (
        other for other in reversed(view.shown) if other.is_directory and other.path != one.path
    )
    return next((other for other in above if is_below(one.path, other.path)), None)
