"""The kernel's numbers and structures of mounts: mount(2), open_tree(2), mount_setattr(2)."""

import struct

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 1 << 12, 1 << 13, 1 << 14, 1 << 18
MNT_DETACH = 2
OPEN_TREE_CLONE = 1
AT_RECURSIVE = 0x8000
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8
ATTR_IDMAP = 1 << 20

_MOUNT_ATTR = struct.Struct("=4Q")  # attr_set, attr_clr, propagation, userns_fd
MOUNT_ATTR_SIZE = _MOUNT_ATTR.size


def mount_attr(attributes: int, user_namespace: int = 0, propagation: int = 0) -> bytearray:
    """What sets these: struct mount_attr.

    user_namespace: a descriptor of it, for IDMAP. propagation: MS_PRIVATE, or 0 for as it is.
    """
    return bytearray(_MOUNT_ATTR.pack(attributes, 0, propagation, user_namespace))
