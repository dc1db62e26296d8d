"""The directory of the layers of a sandbox's children: when it goes, and with what."""

import gc
import os
import tempfile
from pathlib import Path

import pytest

from ramet import Sandbox
from ramet._sandbox.overlay import tree_removal
from ramet._sandbox.overlay.layers import Layers

from ...waiting import exit_code


class Guard:
    """What is told that it may end."""

    is_over = False

    def discard(self) -> None:
        self.is_over = True


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to write, beside the one of the layers."""
    for name in ("files", "layers"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "layers"))
    return tmp_path / "files"


def made(files: Path) -> Layers:
    """Those of a sandbox that writes the files."""
    return Layers(Sandbox(write=[files], overlay=True))


def left(files: Path) -> list[str]:
    """What is there of all of them."""
    return os.listdir(files.parent / "layers")


def test_the_directory_goes_with_the_last_layer(files: Path) -> None:
    """Those that make them may be gone before; the one who guards it is told then."""
    layers, guard = made(files), Guard()
    layers.guard(guard)
    assert layers.is_guarded
    first, second = layers.new(), layers.new_as_before()
    del layers
    gc.collect()
    first.close()
    assert not guard.is_over
    assert os.path.isdir(second.directory)
    second.close()
    assert guard.is_over
    assert left(files) == []


def test_each_layer_is_another(files: Path) -> None:
    """They have the same parts, and directories of their own that the caller alone may enter."""
    layers = made(files)
    one, other = layers.new_as_before(), layers.new_as_before()
    assert one.parts == other.parts == layers.parts
    assert one.directory != other.directory
    assert {Path(layer.directory).parent for layer in (one, other)} == {Path(layers.directory)}
    assert Path(one.directory).stat().st_mode & 0o777 == 0o700


def test_what_is_written_may_be_looked_for_anew_or_not(files: Path) -> None:
    """A link that leads elsewhere by now is followed by new(), and not by new_as_before()."""
    link = files.parent / "link"
    link.symlink_to("files")
    layers = made(link)
    link.unlink()
    link.symlink_to("layers")
    assert [part.target for part in layers.new_as_before().parts] == [str(files)]
    assert [part.target for part in layers.new().parts] == [str(files.parent / "layers")]


def test_a_copy_of_the_process_leaves_all(files: Path) -> None:
    """The directory and who guards it are its original's."""
    layers, guard = made(files), Guard()
    layers.guard(guard)
    if not (pid := os.fork()):
        del layers
        gc.collect()
        os._exit(int(guard.is_over or left(files) == []))
    assert exit_code(pid) == 0
    del layers
    gc.collect()
    assert left(files) == []


def test_what_is_written_meanwhile_is_removed_too(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was killed may still be in a call that makes a file: it is tried again."""
    layer = made(files).new()
    once, tries = tree_removal._remove_once, []

    def disturbed(path: str) -> None:
        tries.append(path)
        if len(tries) == 1:
            raise OSError(39, "Directory not empty")
        once(path)

    monkeypatch.setattr(tree_removal, "_remove_once", disturbed)
    layer.close()
    assert not os.path.exists(layer.directory)
    assert len(tries) >= 2
