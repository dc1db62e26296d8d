"""Why a step on the way to a program is likely to have failed: an errno alone rarely says."""

import errno
import os
from collections.abc import Sequence

from .rows import OPTIONS


def likely_reason(step: str, number: int) -> str:
    """A sentence for the errno of a step; empty where there is nothing to add to its own text."""
    names = step, step.partition(",")[0], step.partition("(")[0]
    keys = [f"{name} {errno.errorcode.get(number)}" for name in names]
    found = (row.why[key] for key in keys for row in OPTIONS.values() if key in row.why)
    return next(found, "")


def why_not_executed(paths: Sequence[bytes]) -> str:
    """What the files of these names tell of an execve's EACCES; empty where it is nothing.

    paths: where the program was looked for, as this process would find them.
    """
    if any(map(os.path.isdir, paths)):
        return "it is a directory"
    if len(paths) > 1 and not any(map(os.path.exists, paths)):
        return "no directory of PATH is seen to have it, and not all may be searched"
    return ""
