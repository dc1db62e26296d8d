"""The running kernel: its release, and its names of errnos."""

import errno
import functools
import os


@functools.cache
def running_kernel() -> str:
    """The release of this machine's kernel, such as "6.18.2-generic": uname(2)."""
    return os.uname().release


def errno_name(number: int) -> str:
    """The name by which Linux and the law know an errno: Python prefers ENOTSUP to EOPNOTSUPP."""
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, f"{number}")
