"""Files of its own for what a clone writes while pytest captures, to be read however the clone ends."""

import os
from typing import Any, Self

import pytest


class CapturedOutput:
    """What one clone has written since pytest last looked.

    pytest captures descriptors 1 and 2 in one file each, which a clone would share with the session and
    with other clones, its place included. With ``-s`` and ``--capture=sys`` there is no such file.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._files = {
            name: os.memfd_create(f"ramet-test-std{name}", os.MFD_CLOEXEC)
            for name in _captured_descriptors(config)
        }
        self._config = config

    def take_over(self) -> None:
        """In the clone: let pytest capture in these files."""
        for name, descriptor in _captured_descriptors(self._config).items():
            os.dup2(self._files[name], descriptor, inheritable=False)

    def sections(self) -> list[tuple[str, str]]:
        """What is there, by "stdout" and "stderr"."""
        return [
            (f"std{name}", os.pread(file, os.fstat(file).st_size, 0).decode("utf-8", "replace"))
            for name, file in self._files.items()
            if os.fstat(file).st_size
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            os.close(file)


def _captured_descriptors(config: pytest.Config) -> dict[str, int]:
    """The descriptors of pytest's own files, by "out" and "err"."""
    manager: Any = config.pluginmanager.get_plugin("capturemanager")
    capturing = getattr(manager, "_global_capturing", None)
    captures: dict[str, Any] = {name: getattr(capturing, name, None) for name in ("out", "err")}
    return {
        name: capture.tmpfile.fileno()
        for name, capture in captures.items()
        if hasattr(capture, "targetfd_save")  # it captures a descriptor
    }
