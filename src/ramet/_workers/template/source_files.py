"""The source files of the modules in a template: whether one has changed since."""

import os
import sysconfig
from collections.abc import Iterable

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
    """Files as they are now, but for those of Python and of installed packages."""

    def __init__(self, files: Iterable[str]) -> None:
        own = (file for file in files if not is_of_python(file))
        self._states = {file: _state(file) for file in own}

    def have_changed(self) -> bool:
        """Whether one is another file by now, or is gone."""
        return any(_state(file) != state for file, state in self._states.items())


def _state(file: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
