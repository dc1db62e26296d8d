"""The directories in which layers lie: where they can be, and who removes them."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ramet._sandbox.overlay import layer_directory
from ramet._sandbox.overlay.layer_directory import LayerDirectory

from ...constants import SECONDS
from ...waiting import exit_code

USE = """
import sys
from ramet._sandbox.overlay.layer_directory import LayerDirectory
directory = LayerDirectory([], sys.argv[1])
open(f"{directory.new()}/file", "w").close()
print(directory.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _nothing_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_directory, "_looked_at", set())


@contextmanager
def used_by_another(where: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A process that has one, with a file in it, and its path; the process ends with this block."""
    command = [sys.executable, "-c", USE, str(where)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None
        yield user, user.stdout.readline().strip()
        user.kill()


def killed(where: Path) -> str:
    """The directory of a process that was killed by SIGKILL."""
    with used_by_another(where) as (user, path):
        user.kill()
        assert user.wait(SECONDS) == -signal.SIGKILL
    assert os.path.isdir(path)
    return path


# ---- where it can be


def test_it_is_not_below_what_is_written(tmp_path: Path) -> None:
    """There the child would find its own layer; another place is taken, or the error names the remedy."""
    with pytest.raises(ValueError, match=r"invalid overlay: .* is below a path .*set TMPDIR to"):
        LayerDirectory([str(tmp_path)], where=tmp_path)
    (tmp_path / "in").mkdir()
    directory = LayerDirectory([str(tmp_path / "in")], where=tmp_path)
    assert Path(directory.path).parent == tmp_path
    directory.close()


def test_the_first_place_that_fits_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the directory of temporary files is written itself, it is elsewhere."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    directory = LayerDirectory([str(tmp_path)])
    assert os.path.dirname(directory.path) in ("/var/tmp", "/dev/shm")
    directory.close()


def test_none_is_on_overlayfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses a layer there; the error says so, and the directory of the try is gone."""
    monkeypatch.setattr(layer_directory, "file_system_of", lambda opened: "overlay")
    with pytest.raises(ValueError, match=r"is on overlayfs, as a container's files are.*TMPDIR"):
        LayerDirectory([], where=tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---- its end


@pytest.mark.parametrize("step", ["setxattr", "mknod", "unlink", "open"])
def test_an_interrupted_trial_leaves_nothing(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a signal handler raises after any of its calls comes out as it is, and no directory stays."""
    before = os.listdir("/proc/self/fd")
    call = getattr(os, step)

    def interrupted(*arguments: Any, **named: Any) -> None:
        monkeypatch.setattr(os, step, call)
        done = call(*arguments, **named)
        if step == "open":
            os.close(done)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        LayerDirectory([], where=tmp_path)
    assert os.listdir(tmp_path) == []
    assert os.listdir("/proc/self/fd") == before


def test_it_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    """By close(), once and again, and when nobody has it any more."""
    directory = LayerDirectory([], tmp_path)
    Path(directory.new(), "file").touch()
    directory.close()
    directory.close()
    assert list(tmp_path.iterdir()) == []
    directory = LayerDirectory([], tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    del directory
    assert list(tmp_path.iterdir()) == []


def test_that_of_a_process_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    """By the first that another process makes there; with all that is in it."""
    path = killed(tmp_path)
    directory = LayerDirectory([], tmp_path)
    assert [*tmp_path.iterdir()] == [Path(directory.path)] != [Path(path)]
    directory.close()


def test_that_of_a_process_that_lives_stays(tmp_path: Path) -> None:
    """Whoever makes others there."""
    with used_by_another(tmp_path) as (_, path):
        LayerDirectory([], tmp_path).close()
        assert [file.name for file in Path(path).glob("*/*")] == ["file"]


def test_a_copy_of_the_process_keeps_it(tmp_path: Path) -> None:
    """A child of fork() may use what its parent has made, and removes nothing."""
    directory = LayerDirectory([], tmp_path)
    if not (pid := os.fork()):
        layer_directory._looked_at.clear()
        directory.close()
        LayerDirectory([], tmp_path).close()
        os._exit(0 if os.path.isdir(directory.path) else 1)
    assert exit_code(pid) == 0
    directory.close()


def test_what_is_not_ours_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's, a file and a link of that name, and what only looks like it."""
    (tmp_path / "ramet-layers-file").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "ramet-layers-link").symlink_to("elsewhere")
    (tmp_path / "ramet-other").mkdir()
    LayerDirectory([], tmp_path).close()
    names = ["elsewhere", "ramet-layers-file", "ramet-layers-link", "ramet-other"]
    assert sorted(os.listdir(tmp_path)) == names
    path = killed(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    layer_directory._looked_at.clear()
    LayerDirectory([], tmp_path).close()
    assert os.path.isdir(path)


def test_what_cannot_be_removed_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays, and no descriptor with it."""
    path = killed(tmp_path)

    def fail(_: str) -> None:
        raise PermissionError

    descriptors = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(layer_directory, "remove_own_tree", fail)
        directory = LayerDirectory([], tmp_path)
    directory.close()
    assert os.path.isdir(path)
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.parametrize("removed", [False, True], ids=["locked", "removed"])
def test_one_that_was_taken_for_abandoned_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    """Another process may find it before it is locked."""
    make = tempfile.mkdtemp
    found: list[int] = []

    def make_and_find(**options: str) -> str:
        made = make(**options)
        if not found:
            found.append(os.open(made, os.O_RDONLY))
            fcntl.flock(found[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
            if removed:
                os.rmdir(made)
        return made

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_find)
    directory = LayerDirectory([], tmp_path)
    assert os.path.samestat(os.stat(directory.path), os.fstat(found[0])) is False
    directory.close()
    os.close(found[0])


def test_no_descriptor_left(tmp_path: Path) -> None:
    """One error, and no directory."""
    LayerDirectory([], tmp_path).close()
    held = []
    try:
        with pytest.raises(OSError, match="Too many open files"):  # noqa: PT012
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(OSError, match="Too many open files"):
            LayerDirectory([], tmp_path)
    finally:
        for number in held:
            os.close(number)
    assert list(tmp_path.iterdir()) == []
