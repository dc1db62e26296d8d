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


# Whether each use of a cgroup has a peak of its own: in version 2 since Linux 6.12.
PEAKS_ARE_COUNTED = KERNEL >= (6, 12) or file_system_of("/sys/fs/cgroup") != "cgroup2"
