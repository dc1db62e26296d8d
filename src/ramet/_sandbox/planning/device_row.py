"""Whether this machine has the devices that a sandbox shows in its own /dev."""

import errno
from collections.abc import Iterator

from ..own_places import DEVICES, devices
from .questions import Answer
from .row import Row

# Major and minor: Documentation/admin-guide/devices.txt.
_NUMBERS = {
    "null": "1 3",
    "zero": "1 5",
    "full": "1 7",
    "random": "1 8",
    "urandom": "1 9",
    "tty": "5 0",
}
_COVERS = (
    "null"  # is mounted over files of /proc, and over those that are hidden: nothing begins without
)


def device_rows() -> Iterator[Row]:
    """One where some are lacking."""
    there = devices()
    lacking = [name for name in DEVICES if name not in there]
    if not lacking:
        return
    paths = ", ".join(f"/dev/{name}" for name in lacking)
    made = "; ".join(f"mknod -m 666 /dev/{name} c {_NUMBERS[name]}" for name in lacking)
    yield Row(
        wish="devices",
        text="/dev with null, zero, full, random, urandom and tty",
        met="partly",
        mechanism="a mount namespace",
        shortfall=f"this machine has no {paths}",
        remedy=f"{made} (as root; in a container bind mounts of the host's)",
        refused=Answer(errno.ENOENT),
        mistaken=_COVERS in lacking,
    )
