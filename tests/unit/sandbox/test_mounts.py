"""What is mounted where."""

import os
from pathlib import Path

import pytest

from ramet._sandbox.overlay import mounts as module
from ramet._sandbox.overlay.mounts import Mount, file_system_of, mounts

LINES = b"""\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /a\\040b\\134c rw master:2 propagate_from:3 - fuse.sshfs host:/ rw
"""


def test_lines_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks and backslashes of a path are octal numbers there; optional fields vary."""
    (tmp_path / "mountinfo").write_bytes(LINES)
    real = open
    monkeypatch.setattr(
        module, "open", lambda _, mode: real(tmp_path / "mountinfo", mode), raising=False
    )
    assert list(mounts()) == [Mount(22, "/", "ext4"), Mount(30, "/a b\\c", "fuse.sshfs")]


def test_the_file_system_of_proc() -> None:
    """A directory's file system is that of its mount."""
    proc = os.open("/proc/self", os.O_RDONLY)
    try:
        assert file_system_of(proc) == "proc"
    finally:
        os.close(proc)
