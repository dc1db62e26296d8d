"""Versions of Linux, as the rows, people and kernels write them."""

import functools
import re
from typing import TypeAlias

Version: TypeAlias = tuple[int, int, int]

# The kernels whose sources were read for the rows, or on which these were tried.
OLDEST = "2.6.11"
NEWEST = "7.2"
KERNELS = (OLDEST, "5.4", "5.10", "6.1", "6.12", "6.18", "7.1", NEWEST)

_WRITTEN = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:\.\d+)*(?:[-+~_ ].*)?", re.DOTALL)


@functools.lru_cache(maxsize=256)
def parse_version(text: str) -> Version:
    """Read "6.9", "2.6.11", or the release that uname gives, such as "6.1.0-18-amd64".

    Raises ValueError when it is no version of Linux; TypeError when it is no str.

    >>> parse_version("6.1.0-18-amd64")
    (6, 1, 0)
    """
    if not isinstance(text, str):
        raise TypeError(f'invalid kernel: expected a version such as "6.9", got {text!r}')
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f'invalid kernel: expected a version such as "6.9" or "2.6.11", got {text!r}'
        )
    return int(found[1]), int(found[2]), int(found[3] or 0)


@functools.lru_cache(maxsize=256)
def kernel_version(text: str) -> Version:
    """The same, for a kernel whose rules are known: from Linux 2.6.11 on."""
    version = parse_version(text)
    if version < parse_version(OLDEST):
        raise ValueError(f"invalid kernel: expected Linux {OLDEST} or later, got {text!r}")
    return version


def is_newer_than_rows(version: Version) -> bool:
    """Whether it is of a later line than the newest whose rules are known; 7.2.13 is of the line 7.2."""
    return version[:2] > parse_version(NEWEST)[:2]


def spans(version: Version, since: str, until: str | None) -> bool:
    """Whether a kernel has what came with ``since`` and went with ``until``."""
    return version >= parse_version(since) and (until is None or version < parse_version(until))


def version_text(version: Version) -> str:
    """The version in text: "6.9", but "2.6.11" and "2.6.0".

    >>> version_text((6, 9, 0)), version_text((2, 6, 0))
    ('6.9', '2.6.0')
    """
    major, minor, patch = version
    return f"{major}.{minor}.{patch}" if patch or major == 2 else f"{major}.{minor}"  # noqa: PLR2004 - the last with three numbers each
