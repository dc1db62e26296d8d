"""The source files of the modules in a template: whether one has changed since."""

import os
import sysconfig
import time
from collections.abc import Iterable
from typing import NamedTuple

_OF_PYTHON = tuple(
    {
        f"{sysconfig.get_path(name)}{os.sep}"
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
)


def is_of_python(file: str) -> bool:
    """Whether a module's file is Python's own, or of an installed package."""
    return file.startswith(_OF_PYTHON)


class SourceFiles:
    """Files as they were before a template has loaded them.

    Those of Python and of installed packages are left out.
    To be made before it loads. known: those that it may load, as far as that is known.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._begun = time.time_ns()
        self._states = {file: _state(file) for file in known}

    def have_been_loaded(self, files: Iterable[str]) -> None:
        """These, and no others, since this was made."""
        own = [file for file in files if not is_of_python(file)]
        self._states = {
            file: self._states[file] if file in self._states else self._unless_written(file)
            for file in own
        }

    def _unless_written(self, file: str) -> "_State | None":
        """Of one that was written to meanwhile it may have read what was there before."""
        state = _state(file)
        return state if state is None or state.written < self._begun else _NO_STATE

    def have_changed(self) -> bool:
        """Whether one is another file by now, or is gone."""
        return any(_state(file) != state for file, state in self._states.items())

    def before_next(self) -> "SourceFiles":
        """For the next process, which loads the same, as a rule."""
        return SourceFiles(self._states)


class _State(NamedTuple):
    inode: int
    written: int  # in nanoseconds
    size: int


_NO_STATE = _State(-1, -1, -1)


def _state(file: str) -> _State | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return _State(found.st_ino, found.st_mtime_ns, found.st_size)
