"""A directory that a child may write, and a layer over it, in which the tests do what overlayfs does."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramet._sandbox.overlay.changes import Changes
from ramet._sandbox.overlay.layer import Layer


class Overlaid:
    """A layer over one directory, which has a few files; written by hand, as a mount of it would be."""

    def __init__(self, lower: Path) -> None:
        (lower / "folder").mkdir(parents=True)
        (lower / "empty").mkdir()
        (lower / "file").write_text("old\n")
        (lower / "folder" / "inner").write_text("inner\n")
        (lower / "folder" / "other").write_text("other\n")
        (lower / "link").symlink_to("file")
        lower.chmod(0o755)
        self.lower = lower
        self.layer = Layer([lower])
        self.upper = Path(self.layer.directory, "upper0")

    def whiteout(self, name: str) -> None:
        """Mark a name as deleted."""
        (self.upper / name).parent.mkdir(exist_ok=True)
        os.mknod(self.upper / name, stat.S_IFCHR, 0)

    def opaque(self, name: str, mark: bytes = b"y", prefix: str = "user") -> Path:
        """Make a directory that hides the one below it."""
        (self.upper / name).mkdir(exist_ok=True)
        os.setxattr(self.upper / name, f"{prefix}.overlay.opaque", mark)
        return self.upper / name

    def copy_up(self, name: str) -> Path:
        """Copy a file as overlayfs does when it is opened to be written."""
        found = (self.lower / name).stat()
        copy = self.upper / name
        copy.write_bytes((self.lower / name).read_bytes())
        copy.chmod(stat.S_IMODE(found.st_mode))
        os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))
        return copy

    def changes(self) -> Changes:
        """What is in the layer."""
        return Changes(self.layer)

    def told(self) -> list[tuple[str, str]]:
        """Kind and path, below the directory, of each change."""
        return [(c.kind, os.path.relpath(c.path, self.lower)) for c in self.changes()]

    def everything(self) -> dict[str, str]:
        """All that is below the directory by now: content, target of a link, or what it is."""
        found = {}
        for path in sorted(self.lower.rglob("*")):
            name = str(path.relative_to(self.lower))
            if path.is_symlink():
                found[name] = f"-> {os.readlink(path)}"
            else:
                found[name] = path.read_text() if path.is_file() else "directory"
        return found


@pytest.fixture
def overlaid(tmp_path: Path) -> Iterator[Overlaid]:
    """A layer over a directory of this test."""
    made = Overlaid(tmp_path / "work")
    yield made
    made.layer.close()
    assert not os.path.exists(made.layer.directory)


@pytest.fixture
def root() -> None:
    """Skip the test without the privileges of root."""
    if os.geteuid():
        pytest.skip("needs root")
