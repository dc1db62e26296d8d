"""What a sandbox's root directory has where no description decides it."""

import os

OWN_DIRECTORY = "/dev"  # nothing of the caller's is seen below it
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")  # of /dev
TERMINALS = "/dev/pts"
LAYERS = "/dev/.layers"  # where the layers of children are found, until they have mounted theirs


def devices() -> list[str]:
    """Those of DEVICES that this machine has: a container may lack some."""
    return [name for name in DEVICES if os.path.exists(f"/dev/{name}")]
