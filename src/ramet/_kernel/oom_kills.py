"""The kernel's out-of-memory kills, as a cgroup counts them: they tell one from any other SIGKILL."""

import os
import re
from typing import Self

# Version 2: of this cgroup alone, or with those below it. Version 1.
_FILES = ("memory.events.local", "memory.events", "memory.oom_control")
_COUNT = rb"(?m)^oom_kill (\d+)$"
_READ_BYTES = 4096


class OomKills:
    """The count of one cgroup, and what it was before a child was made in it."""

    def __init__(self, path: str, before: int) -> None:
        self.path = path
        self.before = before

    @classmethod
    def before_clone(cls, directory: int) -> Self | None:
        """For the cgroup behind a descriptor of its directory; None where such kills are not counted.

        Needs: the memory controller; Linux 4.13.
        Source: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst.
        """
        for name in _FILES:
            try:
                file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
            except OSError:
                continue
            try:
                before = _count_in(file)
                return None if before is None else cls(os.readlink(f"/proc/self/fd/{file}"), before)
            except OSError:
                return None
            finally:
                os.close(file)
        return None

    def has_increased(self) -> bool:
        """Whether the count is higher now; False when the cgroup was removed."""
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return (_count_in(file) or 0) > self.before
        except OSError:
            return False
        finally:
            os.close(file)


def _count_in(file: int) -> int | None:
    found = re.search(_COUNT, os.read(file, _READ_BYTES))
    return None if found is None else int(found[1])
