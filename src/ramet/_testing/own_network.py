"""A network namespace for one test, for any user."""

import os
from collections.abc import Callable

from .._kernel import procfs
from .._kernel.clone_bits import NEWUSER
from .._kernel.names import CAPABILITIES
from ..flags import CloneFlag


def own_network() -> tuple[CloneFlag, Callable[[], None]]:
    """The flags for the clone call, and what the clone calls first.

    Without CAP_SYS_ADMIN it needs a user namespace as well, in which the clone maps its own ids.
    Source: network_namespaces(7), user_namespaces(7) "Defining user and group ID mappings".
    """
    capabilities = int(procfs.status("self")["CapEff"], 16)
    if capabilities >> CAPABILITIES["SYS_ADMIN"] & 1:
        return CloneFlag.NEWNET, lambda: None
    uid, gid = os.geteuid(), os.getegid()
    return CloneFlag.NEWNET | NEWUSER, lambda: _keep_ids(uid, gid)


def _keep_ids(uid: int, gid: int) -> None:
    maps = {"setgroups": "deny", "uid_map": f"{uid} {uid} 1", "gid_map": f"{gid} {gid} 1"}
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
