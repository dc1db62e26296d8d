"""Files in directories that others have written: opened one name at a time, and never through a link.

A name that is opened here has no slash, so that only the file itself can be a symbolic link, which
O_NOFOLLOW refuses (openat2(2) with RESOLVE_BENEATH, which Python has not, would say the same). A fifo is
not opened at all. A file is opened with O_PATH first, which neither waits nor reads, then looked at, then
opened through /proc/self/fd, which names this very file.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Sequence

# openat(2). O_PATH needs no right to the file itself, only to search the directories before it.
ONLY_A_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OF_OWNER = stat.S_IRWXU
_PIECE_BYTES = 1 << 20
_CANNOT_COPY_IN_KERNEL = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
)


def look(name: str, directory: int) -> os.stat_result | None:
    """What the name stands for, a link itself; None where there is none."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def place_of(name: str, directory: int) -> int:
    """A descriptor of a directory in a directory, to start from; NotADirectoryError for anything else."""
    return os.open(name, ONLY_A_PLACE | os.O_DIRECTORY, dir_fd=directory)


def place_below(names: Sequence[str], directory: int) -> int:
    """A descriptor of a directory some names below another; the caller closes it."""
    at = os.open(".", ONLY_A_PLACE | os.O_DIRECTORY, dir_fd=directory)
    for name in names:
        try:
            deeper = place_of(name, at)
        finally:
            os.close(at)
        at = deeper
    return at


def change_mode(descriptor: int, mode: int) -> None:
    """Set the permissions of what a descriptor of O_PATH stands for, which fchmod(2) refuses."""
    os.chmod(f"/proc/self/fd/{descriptor}", mode)


def permit_owner(descriptor: int) -> None:
    """Let its owner list a directory and change what is in it, where its mode says otherwise."""
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if mode & _OF_OWNER != _OF_OWNER:
        change_mode(descriptor, mode | _OF_OWNER)


def open_to_list(place: int) -> int:
    """A descriptor that os.scandir() takes, of a directory that is open as a place."""
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)


def open_to_read(name: str, directory: int, *, own: bool) -> int:
    """A descriptor to read a regular file; OSError, EINVAL, for anything else.

    ``own``: whether it is ours, so that its mode may be changed where that forbids to read it. It has
    that mode again afterwards, as another name of the file may be looked at later.
    """
    place = os.open(name, ONLY_A_PLACE, dir_fd=directory)
    try:
        mode = os.fstat(place).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        closed = own and not mode & stat.S_IRUSR
        if closed:
            change_mode(place, stat.S_IMODE(mode) | stat.S_IRUSR)
        try:
            return _opened(place)
        finally:
            if closed:
                change_mode(place, stat.S_IMODE(mode))
    finally:
        os.close(place)


def open_regular(path: str) -> int:
    """A descriptor to read the regular file that a path leads to; OSError, EISDIR or EINVAL, for another.

    It follows links: what it opens is read by the caller, and goes to nobody else.
    """
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        mode = os.fstat(place).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return _opened(place)
    finally:
        os.close(place)


def _opened(place: int) -> int:
    return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def same_content(one: int, other: int) -> bool:
    """Whether two open files of one size have the same bytes; where both have holes, nothing is read."""
    at, end = 0, os.fstat(one).st_size
    while True:
        start, stop = min(_next_data(one, at, end), _next_data(other, at, end))
        if start >= end:
            return True
        at = min(stop, start + _PIECE_BYTES)
        if _read_at(one, start, at) != _read_at(other, start, at):
            return False


def _next_data(file: int, at: int, end: int) -> tuple[int, int]:
    """Where the next bytes that are in no hole start and stop; ``end`` twice where none are.

    Source: lseek(2) SEEK_DATA.
    """
    try:
        start = os.lseek(file, at, os.SEEK_DATA)
        return start, min(os.lseek(file, start, os.SEEK_HOLE), end)
    except OSError as error:
        if error.errno == errno.ENXIO:
            # There is a hole up to the end, or the file has become shorter.
            return end, end
        raise


def _read_at(file: int, start: int, stop: int) -> bytes:
    """What is there, short only at the file's end."""
    piece = os.pread(file, stop - start, start)
    while piece and (at := start + len(piece)) < stop and (more := os.pread(file, stop - at, at)):
        piece += more
    return piece


def copy_content(source: int, target: int) -> None:
    """Copy a file's bytes into an empty one; its holes stay holes, however large the file says it is.

    Source: copy_file_range(2).
    """
    end = os.fstat(source).st_size
    os.ftruncate(target, end)
    at = 0
    while at < end:
        start, at = _next_data(source, at, end)
        _copy_range(source, target, start, at)


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    copy: Callable[[int, int, int, int], int] = _copy_in_kernel
    while start < end:
        try:
            copied = copy(source, target, start, min(end - start, 1 << 30))
        except OSError as error:
            if copy is _copy_here or error.errno not in _CANNOT_COPY_IN_KERNEL:
                raise
            copy = _copy_here
            continue
        if not copied and copy is _copy_here:  # the file has become shorter
            return
        if not copied:
            copy = _copy_here
        start += copied


def _copy_in_kernel(source: int, target: int, start: int, count: int) -> int:
    return os.copy_file_range(source, target, count, start, start)


def _copy_here(source: int, target: int, start: int, count: int) -> int:
    piece = os.pread(source, min(count, _PIECE_BYTES), start)
    written = 0
    while written < len(piece):
        written += os.pwrite(target, piece[written:], start + written)
    return written


def close_all(descriptors: Sequence[int]) -> None:
    """Close them, whatever close(2) says."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
