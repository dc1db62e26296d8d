"""What a call of a confined template does itself, when what it is to have is known.

The template imports this before it is confined, and each clone copies what the template has in memory: so
this imports little, and nothing of what describes and plans a sandbox.
"""

import os
import struct
from collections.abc import Sequence

from ..._kernel.mounts import MS_BIND
from ..._setup.order import Steps
from ..own_places import DEVICES, LAYERS
from .landlock_rights import (
    ATTR_SIZES,
    IOCTL_DEV,
    OF_FILES,
    READ,
    WRITE_FILE,
    Rules,
    rights_to_files,
)


def steps_to_own_layer(name: bytes) -> Steps:
    """Show the layer of that name alone, where all of them are: LAYERS is its directory then."""
    steps = Steps()
    add_bind(steps, LAYERS.encode() + b"/" + name, LAYERS.encode())
    return steps


def add_bind(steps: Steps, source: bytes, target: bytes) -> None:
    """Show the one at the other's place as well."""
    steps.add("mount(MS_BIND)", "MOUNT", source, target, 0, MS_BIND, 0, file=target)


def writes_only(paths: Sequence[str], abi: int) -> Rules:
    """A further layer of Landlock's rules, which take away the right to write but below these paths."""
    handled = rights_to_files(abi) & ~READ
    allowed = dict.fromkeys(paths, handled)
    allowed |= {f"/dev/{name}": WRITE_FILE | IOCTL_DEV for name in DEVICES}
    existing = {path: bits for path, bits in allowed.items() if os.path.exists(path)}
    rights = [bits if os.path.isdir(path) else bits & OF_FILES for path, bits in existing.items()]
    return Rules(
        bytearray(struct.pack("=2Q", ATTR_SIZES[1], handled)),
        tuple(os.fsencode(path) for path in existing),
        bytearray(struct.pack(f"={len(rights)}Q", *(bits & handled for bits in rights))),
        bytearray(),
        0,
        False,
    )
