"""Callers whose umask takes rights from others, as on hardened servers, or from the caller itself."""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

import ramet
from ramet import Sandbox
from ramet._sandbox.overlay.layer_directory import LayerDirectory
from ramet._sandbox.planning import machine

from ...constants import PATIENT_SECONDS
from .taken_away import needs_all

pytestmark = [needs_all, pytest.mark.usefixtures("nothing_kept")]

Start: TypeAlias = Callable[[Sandbox, Path], int]


@pytest.fixture
def written() -> Iterator[Path]:
    """A directory below /tmp, where the sandbox has its own, three levels deep."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        place = Path(made).resolve() / "on" / "the way"
        place.mkdir(parents=True)
        yield place


@pytest.fixture(params=[0o027, 0o007, 0o077, 0o777], ids="{:03o}".format)
def umask(request: pytest.FixtureRequest, nothing_kept: None, written: Path) -> Iterator[int]:
    """The umask of this process, for which all that is kept is made anew."""
    machine.forget()
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def own_umask_and_write(path: str) -> int:
    """The umask of this process, which makes a file by it."""
    os.close(os.open(f"{path}/made", os.O_CREAT | os.O_WRONLY, 0o666))
    os.umask(mask := os.umask(0))
    return mask


def program(sandbox: Sandbox, where: Path) -> int:
    argv = ["sh", "-c", 'umask; : > "$1/made"', "sh", str(where)]
    done = ramet.run(argv, sandbox=sandbox, capture_output=True, text=True, check=True)
    return int(done.stdout, 8)


def clone(sandbox: Sandbox, where: Path) -> int:
    with ramet.clone(own_umask_and_write, str(where), sandbox=sandbox) as child:
        return child.result(PATIENT_SECONDS)


def template(sandbox: Sandbox, where: Path) -> int:
    with ramet.Template(sandbox=sandbox) as loaded:
        return loaded.clone(own_umask_and_write, str(where)).result(PATIENT_SECONDS)


@pytest.mark.parametrize("start", [program, clone, template])
def test_what_is_written_has_the_callers_umask(start: Start, umask: int, written: Path) -> None:
    """It starts, comes to what it may write below /tmp, and its own umask is the caller's."""
    assert start(Sandbox(write=[written]), written) == umask
    assert stat.S_IMODE((written / "made").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("start", [program, clone, template])
def test_it_writes_to_its_own_tmp(start: Start, umask: int) -> None:
    """Of which every user may make files."""
    assert start(Sandbox(), Path("/tmp")) == umask


def test_what_is_shown_and_hidden(umask: int, written: Path) -> None:
    """Directories that are made on the way to it, and files in its place, are for the sandbox's user."""
    (hidden := written / "hidden").mkdir()
    (file := written / "file").write_text("text")
    os.chmod(file, 0o644)
    os.chmod(hidden, 0o755)
    sandbox = Sandbox(write=[written], hidden=[hidden], read=[file])
    done = ramet.run(["cat", file], sandbox=sandbox, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("text", "")
    assert ramet.run(["ls", hidden], sandbox=sandbox, capture_output=True).returncode == 0
    assert umask >= 0


@pytest.mark.skipif(
    not machine.this_machine().overlay.granted,
    reason="needs overlayfs in a user namespace: Linux 5.11",
)
@pytest.mark.parametrize("start", [program, clone, template])
@pytest.mark.parametrize("is_file", [False, True], ids=["directory", "file"])
def test_a_layer(start: Start, umask: int, written: Path, is_file: bool) -> None:
    """It takes what is written, and nothing of that is in the directory."""
    os.chmod(written, 0o755)
    if is_file:
        os.close(os.open(file := written / "made", os.O_CREAT, 0o666))
        os.chmod(file, 0o644)
        sandbox = Sandbox(write=[file], overlay=True)
    else:
        sandbox = Sandbox(write=[written], overlay=True)
    assert start(sandbox, written) == umask
    assert os.listdir(written) == (["made"] if is_file else [])


def test_what_was_written_to_a_layer(umask: int, written: Path) -> None:
    """It is taken over with the modes that the child gave."""
    sandbox = Sandbox(write=[written], overlay=True)
    argv = ["sh", "-c", ": > file; mkdir folder"]
    changes = ramet.run(argv, sandbox=sandbox, cwd=written, check=True).changes
    assert changes is not None
    with changes:
        changes.take()
    assert stat.S_IMODE((written / "file").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((written / "folder").stat().st_mode) == 0o777 & ~umask


def test_the_directories_of_layers(umask: int, written: Path) -> None:
    """They are the caller's alone."""
    directory = LayerDirectory([], written)
    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (directory.path, directory.new())]
    directory.close()
    assert modes == [0o700, 0o700]
    assert umask >= 0
