"""What differs from kernel to kernel, by its version."""

import os
import platform
import re
from pathlib import Path

_FOUND = re.match(r"(\d+)\.(\d+)", os.uname().release)
assert _FOUND is not None
KERNEL = int(_FOUND[1]), int(_FOUND[2])

# Whether the handlers of libc's fork are run without a fork (native/parent/libc_fork.h).
HANDLERS_WITHOUT_FORK = KERNEL >= (5, 11) and platform.machine() == "x86_64"


def file_system_of(path: str) -> str:
    """The type of the file system in which that directory is, by its name in /proc/self/mounts."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = [mount for mount in mounts if (path + "/").startswith(mount[1].rstrip("/") + "/")]
    return max(above, key=lambda mount: len(mount[1]))[2]
