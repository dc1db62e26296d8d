import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .shown import MADE_UP, write_program


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may read, with programs that do nothing in its folder bin."""
    folder = Path(tempfile.mkdtemp(prefix="ramet-snippets-"))
    folder.chmod(0o755)
    (folder / "bin").mkdir()
    for name in MADE_UP:
        write_program(folder / "bin" / name, "exit 0")
    write_program(folder / "bin" / "ramet", f'exec {sys.executable} -m ramet "$@"')
    yield folder
    shutil.rmtree(folder)
