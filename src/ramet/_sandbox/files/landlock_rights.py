"""Landlock's rights, and how the step takes them.

Source: landlock(7), include/uapi/linux/landlock.h.
"""

from typing import NamedTuple

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIR
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

NETWORK_SINCE, SCOPE_SINCE = 4, 6  # versions of the interface
# By the version: the rights to files that it added, and the size of what it is told.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: TRUNCATE, 5: IOCTL_DEV}
ATTR_SIZES = {1: 8, NETWORK_SINCE: 16, SCOPE_SINCE: 24}


class Rules(NamedTuple):
    """The operands of the step LANDLOCK."""

    attr: bytearray
    paths: tuple[bytes, ...]
    rights: bytearray
    ports: bytearray
    number: int
    without_links: bool


def rights_to_files(abi: int) -> int:
    """All that this version knows."""
    return sum(bits for since, bits in _FILE_RIGHTS.items() if since <= abi)
