"""Files in memory, and what keeps a process from one: memfd_create(2)."""

import errno
import os

from .signal_handlers import is_from_handler

_HIDDEN = (
    "memfd_create(2) is refused, by a seccomp filter or syscalls=; calls and results of more than 64 KiB "
    "cross in a file in memory, and timeout= and capture_output= of an executor have one: let the filter "
    "allow it"
)
_WITHIN_LIMIT = (
    "RLIMIT_FSIZE is {limit} bytes, and holds for what crosses in a file in memory as well: raise it, by "
    'rlimits={{"FSIZE": ...}} of the call, file_size= of its sandbox, or ulimit -f of the caller'
)


def memory_file(name: str, flags: int = 0) -> int:
    """A file in memory, which the caller closes. flags: beside MFD_CLOEXEC.

    OSError where there is none to be had: with what refuses it, and what to do.
    """
    try:
        return os.memfd_create(name, os.MFD_CLOEXEC | flags)
    except OSError as error:
        raise explained(error) from None


def explained(error: OSError) -> OSError:
    """The error of a file in memory, with its likely reason where there is one."""
    if is_from_handler(error):
        return error
    if error.errno in (errno.ENOSYS, errno.EPERM, errno.EACCES):
        reason = _HIDDEN
    elif error.errno == errno.EFBIG:
        import resource  # few come here

        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        reason = _WITHIN_LIMIT.format(limit=limit)
    else:
        return error
    return OSError(error.errno, f"{os.strerror(error.errno)}: {reason}")
