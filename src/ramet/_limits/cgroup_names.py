"""Names of cgroups that tell who made them: what a killed process has left is removed by a later one."""

import atexit
import contextlib
import itertools
import os
import re
from collections import deque
from pathlib import Path

from .._kernel import procfs

# A pid means a process in one pid namespace only.
_NAME = re.compile(r"ramet-(\d+)-(\d+)-(\d+)-(\d+)-(\w+)")
_numbers = itertools.count()


def new(purpose: str) -> str:
    """A name for a directory that this process is about to make."""
    own = os.getpid()
    return (
        f"ramet-{_pid_namespace()}-{own}-{procfs.start_time(own) or 0}-{next(_numbers)}-{purpose}"
    )


def is_of(name: str, purpose: str) -> bool:
    """Whether it is a name that new() has made for that purpose, in whichever process."""
    found = _NAME.fullmatch(name)
    return found is not None and found[5] == purpose


def remove_left(place: str) -> None:
    """Remove the directories that processes have left there which were killed.

    Those of another pid namespace stay: whether their process lives cannot be seen from here.
    """
    if not procfs.shows_own_pids():
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(place):
            if _is_left(name):
                remove(Path(place, name))


def remove(directory: Path) -> bool:
    """Remove a directory and all below it. Returns whether it is gone: not while a process is in it."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False):
                remove(Path(entry.path))
    with contextlib.suppress(OSError):
        directory.rmdir()
    return not directory.exists()


def remove_or_keep(directory: Path) -> None:
    """Remove it; while a process is still in it, later: at a remove_kept(), or the end of this process."""
    if not remove(directory):
        _occupied.append(directory)


def remove_kept() -> None:
    """Try again to remove those in which a process still was."""
    for _ in range(len(_occupied)):
        with contextlib.suppress(IndexError):  # another thread has it
            remove_or_keep(_occupied.popleft())


_occupied: deque[Path] = deque()
atexit.register(remove_kept)


def _is_left(name: str) -> bool:
    found = _NAME.fullmatch(name)
    return (
        found is not None
        and int(found[1]) == _pid_namespace()
        and procfs.start_time(int(found[2])) != found[3]
    )


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino
