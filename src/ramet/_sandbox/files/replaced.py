"""The caller's files over which something is mounted in a sandbox: whether it is so still.

The kernel takes a mount away, in whatever namespace, with the file at which it is: when that is removed, or
another is renamed over it. A sandbox that was made before sees the new file then, and may write it where it
may write what is around it. Source: fs/namei.c, detach_mounts(), in the kernel; rename(2), unlink(2).
"""

import os
from collections.abc import Sequence
from typing import TypeAlias

from ..._core import file_identities

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
