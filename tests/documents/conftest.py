import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .shown import MADE_UP, write_executable, write_program


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may read, with programs that do nothing in its folder bin."""
    folder = Path(tempfile.mkdtemp(prefix="ramet-snippets-"))
    folder.chmod(0o755)
    (folder / "bin").mkdir()
    for name in MADE_UP:
        write_program(folder / "bin" / name, "exit 0")
    # As pip writes it: its process has that name.
    script = f"#!{sys.executable}\nfrom ramet.cli import main\nmain()\n"
    write_executable(folder / "bin" / "ramet", script)
    yield folder
    shutil.rmtree(folder)
