"""Remove a directory with all that is in it, whoever has written that."""

import contextlib
import errno
import os
import stat
import time

from ..._kernel.timeouts import pauses
from ..untrusted_files import look, open_to_list, permit_owner, place_of

# A child can make directories in directories as long as there is room for them, deeper than there are
# descriptors or frames of Python. What lies deeper than this is moved up before it is removed.
_DEEPEST = 64
_PATIENCE_SECONDS = 2.0
# What comes of others that write there, or remove what they have written.
_MEANWHILE = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ESTALE})


def remove_tree(name: str, directory: int, *, ours: bool) -> None:
    """Remove a directory and all below it, through no link and into no other file system.

    ``ours``: whether modes that forbid it may be changed. Raises OSError, EBUSY for a mount below.
    """
    removal = _Removal(name, directory, ours)
    try:
        removal.empty(removal.top, 0)
    finally:
        os.close(removal.top)
    os.rmdir(name, dir_fd=directory)


class _Removal:
    def __init__(self, name: str, directory: int, ours: bool) -> None:
        self.ours = ours
        self.device = os.stat(name, dir_fd=directory, follow_symlinks=False).st_dev
        self.moved = 0
        self.top = self._opened(name, directory)

    def _opened(self, name: str, directory: int) -> int:
        """A descriptor of a directory, to list what is to be removed."""
        place = place_of(name, directory)
        try:
            if os.fstat(place).st_dev != self.device:
                raise OSError(errno.EBUSY, "another file system is mounted in it")
            if self.ours:
                permit_owner(place)
            return open_to_list(place)
        finally:
            os.close(place)

    def empty(self, directory: int, depth: int) -> None:
        """Remove what is in it, and hold no names, however many there are.

        It is read until nothing is found: one reading may miss what is moved up to it, or lies beside what
        goes.
        """
        found = True
        while found:
            found = False
            with os.scandir(directory) as entries:  # begins at the start, and holds some at a time
                for entry in entries:
                    found = True
                    self._remove(entry.name, directory, depth)

    def _remove(self, name: str, directory: int, depth: int) -> None:
        found = look(name, directory)
        if found is None:
            return
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=directory)
        elif depth >= _DEEPEST:
            self._move_up(name, directory)
        else:
            deeper = self._opened(name, directory)
            try:
                self.empty(deeper, depth + 1)
            finally:
                os.close(deeper)
            os.rmdir(name, dir_fd=directory)

    def _move_up(self, name: str, directory: int) -> None:
        while True:
            self.moved += 1
            there = f".ramet-{self.moved}"
            if look(there, self.top) is not None:
                continue
            if self.ours:  # a directory that changes its parent must be writable: its ".." is
                self._permit(name, directory)
            os.rename(name, there, src_dir_fd=directory, dst_dir_fd=self.top)
            return

    def _permit(self, name: str, directory: int) -> None:
        deeper = place_of(name, directory)
        try:
            permit_owner(deeper)
        finally:
            os.close(deeper)


def remove_own_tree(path: str) -> None:
    """Remove a directory of ours by its path; nothing where it is gone.

    A process that was killed may write there for a moment more: it is tried again then, for two seconds.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for pause in pauses():
        try:
            _remove_once(path)
        except OSError as error:
            if error.errno not in _MEANWHILE or time.monotonic() > deadline:
                raise
        if not os.path.lexists(path):
            return
        time.sleep(pause)


def _remove_once(path: str) -> None:
    parent, name = os.path.split(path)
    with contextlib.suppress(FileNotFoundError):
        directory = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_tree(name, directory, ours=True)
        finally:
            os.close(directory)
