"""Root directories of guests."""

import marshal
import shutil
import sys
from pathlib import Path

import pytest

from tools.guest import roots


class Unpacked:
    """In place of Debian's archive: how often something of it was unpacked."""

    times = 0

    def __init__(self, *_: object) -> None: ...

    def update(self) -> None: ...

    def unpack(self, *_: object, **__: object) -> None:
        Unpacked.times += 1


def test_it_is_made_once_by_the_same_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that older sources have made, with other packages, is made anew."""
    monkeypatch.setattr(roots, "Archive", Unpacked)
    monkeypatch.setattr(Unpacked, "times", 0)
    monkeypatch.setattr(roots, "_compile", lambda *_: None)
    monkeypatch.setattr(roots, "_settle", lambda directory: directory.mkdir(parents=True))
    root = roots.Root("any", "x86_64", "3")
    made = [roots.make(root, None, tmp_path) for _ in range(2)]
    assert Unpacked.times == 1
    (made[0] / "made").write_text("")
    roots.make(root, None, tmp_path)
    assert Unpacked.times == 2


def test_bytecode_names_files_as_the_guest_sees_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled here, for a root directory of another machine."""
    place = Path("opt/tests/lib")  # the name of an environment of the matrix
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "module.py").write_text("value = 1\n")
    monkeypatch.setattr(shutil, "which", lambda name: sys.executable)
    roots._compile(tmp_path, roots.Root("any", "other", "3"), place)
    (made,) = (tmp_path / place / "__pycache__").iterdir()
    assert marshal.loads(made.read_bytes()[16:]).co_filename == "/opt/tests/lib/module.py"


def test_a_link_leads_to_the_guests_own_file(tmp_path: Path) -> None:
    """Bytecode of what is at that path here would be that of another file."""
    place = Path("usr/lib/python3")
    (tmp_path / "etc").mkdir()
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / "etc" / "passwd").write_text("of the guest")
    (tmp_path / place / "names.py").symlink_to("/etc/passwd")
    roots._make_links_relative(tmp_path, place)
    assert (tmp_path / place / "names.py").read_text() == "of the guest"


def test_without_a_python_of_that_version_there_is_no_bytecode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guest compiles for itself."""
    (tmp_path / "module.py").touch()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    roots._compile(tmp_path, roots.Root("any", "other", "3"), Path())
    assert [path.name for path in tmp_path.iterdir()] == ["module.py"]
