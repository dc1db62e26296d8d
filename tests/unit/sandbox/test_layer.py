"""Layers: the directories that take what a child writes."""

import gc
import os
import resource
import stat
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ramet._sandbox.overlay import layer as layer_module
from ramet._sandbox.overlay.layer import Layer
from ramet._sandbox.overlay.mounts import Mount

from ...waiting import exit_code


def test_a_directory_has_an_upper_and_a_work_directory(tmp_path: Path) -> None:
    """They are in a directory of the caller's alone; the upper one has the mode of what it lies over."""
    (tmp_path / "w").mkdir()
    (tmp_path / "w").chmod(0o1775)
    with Layer([tmp_path / "w"]) as layer:
        (part,) = layer.parts
        base = Path(layer.directory)
        assert (part.path, part.target, part.directory) == (
            str(tmp_path / "w"),
            str(tmp_path / "w"),
            True,
        )
        assert base.stat().st_mode == stat.S_IFDIR | 0o700
        assert (base / part.upper).stat().st_mode == stat.S_IFDIR | 0o1775
        assert list((base / part.work).iterdir()) == []
        assert base.stat().st_uid == os.geteuid()


def test_the_options_of_a_mount_are_given_in_order(tmp_path: Path) -> None:
    """Paths first, with colons and backslashes escaped, then what forbids all but the plain form."""
    with Layer([tmp_path]) as layer:
        assert layer.parts[0].options("/l:1", "/b\\2") == (
            ("lowerdir", "/l\\:1"),
            ("upperdir", "/b\\\\2/upper0"),
            ("workdir", "/b\\\\2/work0"),
            ("redirect_dir", "nofollow"),
            ("metacopy", "off"),
            ("index", "off"),
            ("nfs_export", "off"),
            ("userxattr", None),
            ("volatile", None),
        )


def test_the_options_in_one_string(tmp_path: Path) -> None:
    """For mount(2) a comma in a path is escaped as well."""
    with Layer([tmp_path]) as layer:
        assert layer.parts[0].data("/l,1:", "/\udcff").split(b",redirect_dir")[0] == (
            b"lowerdir=/l\\,1\\:,upperdir=/\xff/upper0,workdir=/\xff/work0"
        )


def test_a_file_has_a_copy(tmp_path: Path) -> None:
    """The copy takes the file's place in the child; it has the content, the mode and the time of it."""
    file = tmp_path / "file"
    file.write_text("content")
    file.chmod(0o640)
    os.utime(file, ns=(1_000, 2_000))
    with Layer([file]) as layer:
        (part,) = layer.parts
        copy = Path(layer.directory, part.source)
        assert not part.directory
        assert (part.root, part.names_of(str(file))) == (str(tmp_path), ("file",))
        assert copy.read_text() == "content"
        assert stat.S_IMODE(copy.stat().st_mode) == 0o640
        assert copy.stat().st_mtime_ns == 2_000


def test_what_is_below_another_path_has_no_part_of_its_own(tmp_path: Path) -> None:
    """It is written to the layer of the outer one, in whatever order they are given."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    (tmp_path / "a" / "f").write_text("")
    paths = [tmp_path / "a/b", tmp_path / "ab", tmp_path / "a/f", tmp_path / "a"]
    with Layer(paths) as layer:
        assert [part.path for part in layer.parts] == [str(tmp_path / "a"), str(tmp_path / "ab")]


def test_a_link_is_resolved_once(tmp_path: Path) -> None:
    """The child knows the path as given; what is changed is what it led to when the layer was made."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with Layer([tmp_path / "link"]) as layer:
        (part,) = layer.parts
        assert (part.path, part.target) == (str(tmp_path / "link"), str(tmp_path / "real"))


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The error names the path and the remedy, and nothing was made."""
    with pytest.raises(ValueError, match=r"invalid write with overlay: .*nothing'.*make it first"):
        Layer([tmp_path / "nothing"])


def test_what_is_neither_directory_nor_file_is_refused(tmp_path: Path) -> None:
    """A fifo has no layer."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="a device, a fifo or a socket has no layer"):
        Layer([tmp_path / "fifo"])


def test_a_mount_below_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An overlay would not show it, and a plain user cannot even mount that."""
    mounts = [Mount(1, "/", "ext4"), Mount(2, str(tmp_path / "mnt"), "tmpfs")]
    monkeypatch.setattr(layer_module, "mounts", lambda: mounts)
    with pytest.raises(ValueError, match=r"without mounts below it, got '.*', where '.*/mnt' is"):
        Layer([tmp_path])
    (tmp_path / "mnt").mkdir()
    Layer([tmp_path / "mnt"]).close()


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the parts cannot be made the layer's directory is removed."""
    (tmp_path / "w").mkdir()
    (tmp_path / "l").mkdir()

    def fail(*_: object) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr(layer_module, "_make_part", fail)
    with pytest.raises(OSError, match="full"):
        Layer([tmp_path / "w"], where=tmp_path / "l")
    assert list((tmp_path / "l").iterdir()) == []


def test_a_layer_goes_with_its_object(tmp_path: Path) -> None:
    """The directory is removed when nobody has the layer any more."""
    layer = Layer([tmp_path])
    directory = layer.directory
    assert os.path.isdir(directory)
    del layer
    gc.collect()
    assert not os.path.exists(directory)


def test_a_copy_of_the_process_removes_nothing(tmp_path: Path) -> None:
    """In the child of a fork the layer is its parent's."""
    layer = Layer([tmp_path])
    if not (pid := os.fork()):
        layer.close()
        os._exit(0 if os.path.isdir(layer.directory) else 1)
    assert exit_code(pid) == 0
    assert not layer.closed
    layer.close()
    assert layer.closed
    assert not os.path.exists(layer.directory)
    layer.close()


def test_whatever_a_child_has_made_is_removed(tmp_path: Path) -> None:
    """Directories without any permission, and so deep that no path is long enough."""
    layer = Layer([tmp_path])
    upper = Path(layer.directory, "upper0")
    (upper / "closed" / "in").mkdir(parents=True)
    (upper / "closed" / "in" / "file").write_text("")
    (upper / "closed" / "in").chmod(0)
    (upper / "closed").chmod(0)
    here = os.open(upper, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deeper", dir_fd=here)
        deeper = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.fchmod(here, 0)
    os.close(here)
    layer.close()
    assert not os.path.exists(layer.directory)


def test_names_that_go_are_not_held(tmp_path: Path) -> None:
    """A child makes as many of one file as it likes, and they may be as long as the file itself."""
    layer = Layer([tmp_path])
    first = Path(layer.directory, "upper0", "f")
    first.touch()
    for number in range(9_000):
        os.link(first, first.with_name(f"{number:0250}"))
    tracemalloc.start()
    try:
        layer.close()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert not os.path.exists(layer.directory)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """All are in use meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for number in held:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_one_that_cannot_be_removed_is_not_closed(tmp_path: Path) -> None:
    """Without a descriptor nothing is removed; it can be done later, or is when nobody has it any more."""
    layers = [Layer([tmp_path]), Layer([tmp_path])]
    again, dropped = layers
    with no_descriptor_left():
        for layer in layers:
            with pytest.raises(OSError, match="Too many open files"):
                layer.close()
            assert not layer.closed
    again.close()
    assert again.closed
    assert not os.path.exists(again.directory)
    directory = dropped.directory
    del layers, layer, dropped
    gc.collect()
    assert not os.path.exists(directory)
