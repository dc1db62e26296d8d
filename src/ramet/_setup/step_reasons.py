"""Why a step on the way to a program is likely to have failed: an errno alone rarely says."""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .rows import OPTIONS

_STREAMS = ("stdin", "stdout", "stderr")


def likely_reason(step: str, number: int) -> str:
    """A sentence for the errno of a step; empty where there is nothing to add to its own text."""
    names = step, step.partition(",")[0], step.partition("(")[0]
    keys = [f"{name} {errno.errorcode.get(number)}" for name in names]
    found = (row.why[key] for key in keys for row in OPTIONS.values() if key in row.why)
    return next(found, "")


def reason_among(options: Mapping[str, Any], step: str, number: int) -> str:
    """The same, where the options are known: of several descriptors it says which is not open."""
    if number == errno.EBADF:
        for name, descriptor in _given_descriptors(options):
            if descriptor >= 0 and not _is_open(descriptor):
                return f"descriptor {descriptor} of {name} is not open"
    return likely_reason(step, number)


def _given_descriptors(options: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The caller's, with the names of their options."""
    yield from ((name, options[name]) for name in _STREAMS if name in options)
    yield from ((f"fds[{target}]", source) for target, source in options.get("fds", {}).items())
    yield from (("pass_fds", kept) for kept in options.get("pass_fds", ()))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def why_not_executed(paths: Sequence[bytes]) -> str:
    """What the files of these names tell of an execve's EACCES; empty where it is nothing.

    paths: where the program was looked for, as this process would find them.
    """
    if any(map(os.path.isdir, paths)):
        return "it is a directory"
    if len(paths) > 1 and not any(map(os.path.exists, paths)):
        return "no directory of PATH is seen to have it, and not all may be searched"
    return ""
