"""Remove a directory with all that is in it, whoever has written that."""

import contextlib
import errno
import os
import stat
import time

from ..._kernel.timeouts import pauses
from .untrusted_files import look, open_to_list, permit_owner, place_of

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
    place = place_of(name, directory)
    try:
        _Removal(place, ours).empty(place, 0)
    finally:
        os.close(place)
    os.rmdir(name, dir_fd=directory)


class _Removal:
    def __init__(self, top: int, ours: bool) -> None:
        self.top, self.ours = top, ours
        self.device = os.fstat(top).st_dev
        self.moved = 0

    def empty(self, place: int, depth: int) -> None:
        if os.fstat(place).st_dev != self.device:
            raise OSError(errno.EBUSY, "another file system is mounted in it")
        if self.ours:
            permit_owner(place)
        listed = open_to_list(place)
        try:
            # Each listing is read anew: what is moved up comes to the top's while that is removed.
            while names := os.listdir(listed):
                for name in names:
                    self._remove(name, place, depth)
                os.lseek(listed, 0, os.SEEK_SET)
        finally:
            os.close(listed)

    def _remove(self, name: str, place: int, depth: int) -> None:
        found = look(name, place)
        if found is None:
            return
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=place)
        elif depth >= _DEEPEST:
            self._move_up(name, place)
        else:
            deeper = place_of(name, place)
            try:
                self.empty(deeper, depth + 1)
            finally:
                os.close(deeper)
            os.rmdir(name, dir_fd=place)

    def _move_up(self, name: str, place: int) -> None:
        while True:
            self.moved += 1
            there = f".ramet-{self.moved}"
            if look(there, self.top) is not None:
                continue
            if self.ours:  # a directory that changes its parent must be writable: its ".." is
                self._permit(name, place)
            os.rename(name, there, src_dir_fd=place, dst_dir_fd=self.top)
            return

    def _permit(self, name: str, place: int) -> None:
        deeper = place_of(name, place)
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
