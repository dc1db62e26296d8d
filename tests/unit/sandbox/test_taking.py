"""Changes that are taken over, from a layer that may be hostile, to files that others may change."""

import errno
import os
import pickle
import stat
import tracemalloc
from pathlib import Path

import pytest

from ramet._sandbox.overlay import change_taking
from ramet._sandbox.overlay.change_finding import Change
from ramet._sandbox.overlay.changes import Changes
from ramet._sandbox.overlay.layer import Layer
from ramet.errors import ChangeError

from .conftest import Overlaid

BEFORE = {
    "empty": "directory",
    "file": "old\n",
    "folder": "directory",
    "folder/inner": "inner\n",
    "folder/other": "other\n",
    "link": "-> file",
}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_all_that_a_child_did(overlaid: Overlaid) -> None:
    """The files are as in the layer after it, the layer is as it was, and nothing else is left."""
    (overlaid.upper / "file").write_text("newer")
    (overlaid.upper / "file").chmod(0o640)
    os.utime(overlaid.upper / "file", ns=(1_000, 2_000))
    (overlaid.upper / "dir" / "sub").mkdir(parents=True)
    (overlaid.upper / "dir" / "sub" / "new").write_text("new")
    (overlaid.upper / "dir").chmod(0o555)
    (overlaid.upper / "link").symlink_to("/nowhere")
    (overlaid.opaque("folder") / "inner").symlink_to("x")
    overlaid.whiteout("empty")
    assert overlaid.everything() == BEFORE
    overlaid.changes().take()
    assert overlaid.everything() == {
        "dir": "directory",
        "dir/sub": "directory",
        "dir/sub/new": "new",
        "file": "newer",
        "folder": "directory",
        "folder/inner": "-> x",
        "link": "-> /nowhere",
    }
    assert mode_of(overlaid.lower / "file") == 0o640
    assert (overlaid.lower / "file").stat().st_mtime_ns == 2_000
    assert mode_of(overlaid.lower / "dir") == 0o555
    (overlaid.lower / "dir").chmod(0o755)
    assert (overlaid.upper / "file").read_text() == "newer"
    assert (overlaid.lower / "file").stat().st_uid == os.geteuid()


def test_twice_is_as_once(overlaid: Overlaid) -> None:
    """What is there by now is made the same again."""
    (overlaid.upper / "a").mkdir()
    (overlaid.upper / "a" / "b").write_text("b")
    overlaid.whiteout("folder")
    (overlaid.opaque("file") / "c").touch()
    changes = overlaid.changes()
    changes.take()
    once = overlaid.everything()
    changes.take()
    assert overlaid.everything() == once
    assert once["a/b"] == "b"
    assert "file/c" in once
    assert "folder" not in once


def test_types_change(overlaid: Overlaid) -> None:
    """A directory becomes a file, a file a directory, a directory a link, a link a fifo."""
    (overlaid.upper / "folder").write_text("file")
    (overlaid.opaque("file") / "in").write_text("in")
    (overlaid.upper / "empty").symlink_to("folder")
    os.mkfifo(overlaid.upper / "link", 0o600)
    overlaid.changes().take()
    assert stat.S_ISFIFO((overlaid.lower / "link").lstat().st_mode)
    (overlaid.lower / "link").unlink()
    assert overlaid.everything() == {
        "empty": "-> folder",
        "file": "directory",
        "file/in": "in",
        "folder": "file",
    }


def test_no_file_is_taken_with_the_rights_of_another(overlaid: Overlaid) -> None:
    """Set-user-ID and set-group-ID bits, and attributes, stay behind."""
    (overlaid.upper / "tool").write_text("")
    (overlaid.upper / "tool").chmod(0o6755)
    os.setxattr(overlaid.upper / "tool", "user.note", b"x")
    (overlaid.upper / "dir").mkdir()
    (overlaid.upper / "dir").chmod(0o3775)
    overlaid.copy_up("file").chmod(0o4711)
    overlaid.changes().take()
    assert mode_of(overlaid.lower / "tool") == 0o755
    assert os.listxattr(overlaid.lower / "tool") == []
    assert mode_of(overlaid.lower / "dir") == 0o1775
    assert mode_of(overlaid.lower / "file") == 0o711


def test_attributes_alone(overlaid: Overlaid) -> None:
    """A file gets its mode and time in one step, by a new one; a directory its mode when all is done."""
    os.link(overlaid.lower / "file", overlaid.lower / "second")
    os.utime(overlaid.copy_up("file"), ns=(3_000, 4_000))
    (overlaid.upper / "file").chmod(0o600)
    (overlaid.upper / "folder").mkdir()
    (overlaid.upper / "folder" / "new").write_text("")
    (overlaid.upper / "folder").chmod(0o500)
    overlaid.upper.chmod(0o711)
    overlaid.changes().take()
    found = (overlaid.lower / "file").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o600, 4_000)
    assert (overlaid.lower / "file").read_text() == "old\n"
    assert mode_of(overlaid.lower / "second") == 0o644
    assert (mode_of(overlaid.lower / "folder"), mode_of(overlaid.lower)) == (0o500, 0o711)
    assert (overlaid.lower / "folder" / "new").exists()
    (overlaid.lower / "folder").chmod(0o755)


def test_a_closed_file_is_taken(overlaid: Overlaid) -> None:
    """A child may leave what nobody may read; it is the caller's, who takes it as it is."""
    (overlaid.upper / "dir").mkdir()
    (overlaid.upper / "dir" / "file").write_text("content")
    (overlaid.upper / "dir" / "file").chmod(0)
    (overlaid.upper / "dir").chmod(0)
    overlaid.changes().take()
    assert mode_of(overlaid.lower / "dir") == 0
    (overlaid.lower / "dir").chmod(0o700)
    assert mode_of(overlaid.lower / "dir" / "file") == 0
    (overlaid.lower / "dir" / "file").chmod(0o600)
    assert (overlaid.lower / "dir" / "file").read_text() == "content"


def test_one_who_reads_meanwhile_sees_the_whole_old_file(overlaid: Overlaid) -> None:
    """A file is replaced in one step: an open one stays what it was, and other names of it as well."""
    os.link(overlaid.lower / "file", overlaid.lower / "second")
    (overlaid.upper / "file").write_text("new content")
    with open(overlaid.lower / "file") as opened:
        overlaid.changes().take()
        assert opened.read() == "old\n"
    assert (overlaid.lower / "second").read_text() == "old\n"
    assert (overlaid.lower / "file").read_text() == "new content"


def test_holes_stay_holes(overlaid: Overlaid) -> None:
    """A file of 1 TB that takes no room takes none after it."""
    with open(overlaid.upper / "sparse", "wb") as file:
        file.write(b"start")
        file.seek(1 << 39)
        file.write(b"middle")
        file.truncate(1 << 40)
    overlaid.changes().take()
    found = (overlaid.lower / "sparse").stat()
    assert found.st_size == 1 << 40
    assert found.st_blocks * 512 < 1 << 20
    with open(overlaid.lower / "sparse", "rb") as file:
        assert file.read(5) == b"start"
        file.seek(1 << 39)
        assert file.read(7) == b"middle\0"


def test_names_of_one_file_stay_that(overlaid: Overlaid) -> None:
    """A thousand names of a large file would be as many copies of it otherwise."""
    (overlaid.upper / "a").write_text("content")
    (overlaid.upper / "dir").mkdir()
    os.link(overlaid.upper / "a", overlaid.upper / "dir" / "b")
    os.link(overlaid.upper / "a", overlaid.upper / "file")
    changes = overlaid.changes()
    changes.take()
    changes.take()
    numbers = {(overlaid.lower / name).stat().st_ino for name in ("a", "dir/b", "file")}
    assert len(numbers) == 1
    assert sorted(overlaid.everything()) == sorted([*BEFORE, "a", "dir", "dir/b"])


def test_a_replaced_file_keeps_its_owner(overlaid: Overlaid, root: None) -> None:
    """Root writes to a file of another user without making it its own; a new one is root's."""
    os.chown(overlaid.lower / "file", 1234, 4321)
    (overlaid.upper / "file").write_text("new")
    (overlaid.upper / "new").write_text("new")
    os.chown(overlaid.upper / "new", 1234, 4321)
    overlaid.changes().take()
    found = (overlaid.lower / "file").stat()
    assert (found.st_uid, found.st_gid) == (1234, 4321)
    assert (overlaid.lower / "new").stat().st_uid == 0


# ---- what is hostile


def test_nothing_is_written_through_a_link_of_the_layer(overlaid: Overlaid, tmp_path: Path) -> None:
    """A directory that has become a link is taken as that link; what it leads to is as before."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "inner").write_text("precious")
    (overlaid.upper / "folder").symlink_to(victim)
    (overlaid.upper / "file").symlink_to(victim / "inner")
    overlaid.changes().take()
    assert os.readlink(overlaid.lower / "folder") == str(victim)
    assert (victim / "inner").read_text() == "precious"
    assert [path.name for path in victim.iterdir()] == ["inner"]


@pytest.mark.parametrize("deep", ["folder", "folder/sub"])
def test_nothing_is_written_through_a_link_of_the_target(
    overlaid: Overlaid, tmp_path: Path, deep: str
) -> None:
    """Somebody replaces a directory by a link after the changes were listed: that is an error."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (overlaid.lower / deep).mkdir(exist_ok=True)
    (overlaid.upper / deep).mkdir(parents=True)
    (overlaid.upper / deep / "inner").write_text("bad")
    (overlaid.upper / "early").write_text("done before")
    changes = overlaid.changes()
    assert len(changes) == 2
    (overlaid.lower / deep).rename(tmp_path / "away")
    (overlaid.lower / deep).symlink_to(victim)
    with pytest.raises(ChangeError) as error:
        changes.take()
    assert error.value.errno in (errno.ENOTDIR, errno.ELOOP)
    assert (error.value.done, error.value.count) == (1, 2)
    assert f"modified {overlaid.lower}/{deep}/inner" in str(error.value) or "added" in str(
        error.value
    )
    assert "1 of 2 changes were taken over before it" in str(error.value)
    assert list(victim.iterdir()) == []
    assert (overlaid.lower / "early").read_text() == "done before"
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


@pytest.mark.parametrize("name", ["work", "."])
def test_a_link_in_the_place_of_the_written_directory(tmp_path: Path, name: str) -> None:
    """Nor in that of one above it: what it leads to is neither compared, nor shown, nor written to."""
    above = tmp_path / "above"
    overlaid = Overlaid(above / "work")
    overlaid.copy_up("file").write_text("new\n")
    above.joinpath(name).rename(tmp_path / "moved")
    victim = tmp_path / "victim"
    (victim / "work").mkdir(parents=True)
    for place in (victim, victim / "work"):
        (place / "file").write_text("secret\n")
    above.joinpath(name).symlink_to(victim)
    with overlaid.changes() as changes:
        assert "secret" not in changes.diff()
        with pytest.raises(ChangeError, match=r"expected .*work' to be .*take\(to=\)") as refused:
            changes.take()
        assert (refused.value.errno, refused.value.done) == (errno.ENOTDIR, 0)
        (tmp_path / "elsewhere").mkdir()
        changes.take(to=tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "file").read_text() == "new\n"
    assert [path.read_text() for path in victim.rglob("file")] == ["secret\n"] * 2


def test_another_directory_in_the_place_of_the_written_one(
    overlaid: Overlaid, tmp_path: Path
) -> None:
    """What the child saw is elsewhere by now: the caller says what is meant."""
    overlaid.copy_up("file").write_text("new\n")
    overlaid.lower.rename(tmp_path / "moved")
    overlaid.lower.mkdir()
    (overlaid.lower / "file").write_text("another\n")
    with pytest.raises(ChangeError, match="another is there by now"):
        overlaid.changes().take()
    assert (overlaid.lower / "file").read_text() == "another\n"
    overlaid.changes().take(to=tmp_path / "moved")
    assert (tmp_path / "moved" / "file").read_text() == "new\n"


def test_a_directory_is_not_added_over_a_link(overlaid: Overlaid, tmp_path: Path) -> None:
    """A link by the name of a new directory stays what it is."""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o750)
    (overlaid.upper / "dir").mkdir()
    (overlaid.upper / "dir" / "file").write_text("bad")
    changes = overlaid.changes()
    assert len(changes) == 2
    (overlaid.lower / "dir").symlink_to(victim)
    with pytest.raises(ChangeError, match=r"added .*/dir"):
        changes.take()
    assert list(victim.iterdir()) == []
    assert mode_of(victim) == 0o750


@pytest.mark.parametrize("change", ["attributes", "modified", "deleted"])
def test_a_file_that_has_become_a_link(overlaid: Overlaid, tmp_path: Path, change: str) -> None:
    """Neither mode nor content goes to where the link leads."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o600)
    if change == "attributes":
        overlaid.copy_up("file").chmod(0o777)
    elif change == "modified":
        (overlaid.upper / "file").write_text("new")
    else:
        overlaid.whiteout("file")
    changes = overlaid.changes()
    assert [c.kind for c in changes] == [change]
    (overlaid.lower / "file").unlink()
    (overlaid.lower / "file").symlink_to(victim)
    changes.take()
    assert not (overlaid.lower / "file").is_symlink()
    assert (victim.read_text(), mode_of(victim)) == ("precious", 0o600)


def test_a_fifo_that_has_become_a_link(overlaid: Overlaid, tmp_path: Path) -> None:
    """A fifo gets its mode where it is, as it may be in use; another thing by its name does not."""
    os.mkfifo(overlaid.lower / "pipe", 0o600)
    os.mkfifo(overlaid.upper / "pipe", 0o600)
    (overlaid.upper / "pipe").chmod(0o640)
    changes = overlaid.changes()
    changes.take()
    assert mode_of(overlaid.lower / "pipe") == 0o640
    (overlaid.lower / "pipe").unlink()
    (overlaid.lower / "pipe").symlink_to("file")
    with pytest.raises(ChangeError, match="expected a fifo, got another thing by now"):
        changes.take()
    assert mode_of(overlaid.lower / "file") == 0o644


@pytest.mark.parametrize("what", [stat.S_IFIFO, stat.S_IFSOCK], ids=["fifo", "socket"])
def test_a_fifo_that_has_a_name_outside(overlaid: Overlaid, tmp_path: Path, what: int) -> None:
    """It is replaced, as a file is: what is outside of the written directory keeps its mode."""
    os.mknod(outside := tmp_path / "outside", what | 0o600)
    os.link(outside, inside := overlaid.lower / "pipe")
    os.mknod(overlaid.upper / "pipe", what | 0o600)
    (overlaid.upper / "pipe").chmod(0o666)
    if is_root := os.geteuid() == 0:
        os.chown(outside, 1234, 4321)
    changes = overlaid.changes()
    assert [change.kind for change in changes] == ["attributes"]
    for _ in "twice":
        changes.take()
        assert (mode_of(outside), mode_of(inside)) == (0o600, 0o666)
    assert stat.S_IFMT(inside.stat().st_mode) == what
    if is_root:
        assert (inside.stat().st_uid, inside.stat().st_gid) == (1234, 4321)
    assert sorted(os.listdir(overlaid.lower)) == ["empty", "file", "folder", "link", "pipe"]


def test_a_file_that_has_become_a_directory(overlaid: Overlaid) -> None:
    """What others have put into it meanwhile is not deleted for a file."""
    overlaid.whiteout("file")
    changes = overlaid.changes()
    assert len(changes) == 1
    (overlaid.lower / "file").unlink()
    (overlaid.lower / "file").mkdir()
    (overlaid.lower / "file" / "others").write_text("")
    with pytest.raises(ChangeError, match="expected a file, got a directory by now"):
        changes.take()
    assert (overlaid.lower / "file" / "others").exists()


def test_a_device_is_refused_before_anything_is_done(overlaid: Overlaid, root: None) -> None:
    """A child cannot make one; if there is one, nothing of that layer is taken."""
    (overlaid.upper / "a").write_text("")
    os.mknod(overlaid.upper / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with pytest.raises(ChangeError, match=r"a device is not taken over.*0 of 2 changes"):
        overlaid.changes().take()
    assert overlaid.everything() == BEFORE


def test_a_failure_leaves_no_half_of_a_file(
    overlaid: Overlaid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the old file stays, whole, and nothing is beside it."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(change_taking, "copy_content", fail)
    (overlaid.upper / "file").write_text("new")
    with pytest.raises(ChangeError, match="ENOSPC: full: could not take over: modified"):
        overlaid.changes().take()
    assert overlaid.everything() == BEFORE


def test_what_is_deleted_leads_nowhere(overlaid: Overlaid, tmp_path: Path) -> None:
    """The removal of a directory removes links in it, not what they lead to."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "kept").write_text("")
    (overlaid.lower / "folder" / "out").symlink_to(tmp_path / "victim")
    overlaid.whiteout("folder")
    overlaid.changes().take()
    assert not (overlaid.lower / "folder").exists()
    assert (tmp_path / "victim" / "kept").exists()


# ---- to another directory


def test_to_another_directory(overlaid: Overlaid, tmp_path: Path) -> None:
    """It stands for the path that was written; what is missing in it is made, and the path is as it was."""
    (overlaid.upper / "folder").mkdir()
    (overlaid.upper / "folder" / "inner").write_text("new")
    overlaid.copy_up("file").chmod(0o600)
    overlaid.whiteout("link")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "link").write_text("")
    overlaid.changes().take(to=tmp_path / "copy")
    assert overlaid.everything() == BEFORE
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["file", "folder"]
    assert (tmp_path / "copy" / "folder" / "inner").read_text() == "new"
    assert (tmp_path / "copy" / "file").read_text() == "old\n"
    assert mode_of(tmp_path / "copy" / "file") == 0o600


def test_several_paths_go_to_several_directories(tmp_path: Path) -> None:
    """A mapping names them; what it does not name is not taken."""
    for name in ("a", "b", "to"):
        (tmp_path / name).mkdir()
    with Layer([tmp_path / "a", tmp_path / "b"]) as layer:
        for number in "01":
            Path(layer.directory, f"upper{number}", f"in{number}").write_text("")
        changes = Changes(layer)
        with pytest.raises(
            ValueError, match=r"invalid to: expected a directory for each of '.*/a'"
        ):
            changes.take(to=tmp_path / "to")
        with pytest.raises(ValueError, match="expected paths that the sandbox writes, got /c"):
            changes.take(to={"/c": tmp_path})
        changes.take(to={str(tmp_path / "b"): tmp_path / "to"})
        assert [path.name for path in (tmp_path / "to").iterdir()] == ["in1"]
        assert list((tmp_path / "a").iterdir()) == []
        changes.take()
        assert [path.name for path in (tmp_path / "a").iterdir()] == ["in0"]


def test_what_is_no_directory(overlaid: Overlaid) -> None:
    """It is refused by its type, or as it is not there, before anything is done."""
    (overlaid.upper / "new").write_text("")
    with pytest.raises(TypeError, match="invalid to: expected a path, a mapping or None, got 3"):
        overlaid.changes().take(to=3)  # type: ignore[arg-type]
    for nothing in (overlaid.lower / "nothing", ""):
        for to in (nothing, {str(overlaid.lower): nothing}):
            with pytest.raises(
                ValueError, match=r"expected a directory for what .*; make it first"
            ):
                overlaid.changes().take(to=to)


def test_a_file_that_may_be_written_is_taken(tmp_path: Path) -> None:
    """Its copy replaces it; a link to it stays one."""
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").write_text("old\n")
    with Changes(layer := Layer([tmp_path / "link"])) as changes:
        Path(layer.directory, layer.parts[0].source).write_text("new\n")
        changes.take()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_nothing_changed_is_taken_without_work(overlaid: Overlaid) -> None:
    """No change, no error."""
    overlaid.changes().take()
    assert overlaid.everything() == BEFORE


def test_names_are_not_held_beside_the_changes(overlaid: Overlaid) -> None:
    """A directory that is deep has a hundred of them, each an object."""
    deep = overlaid.upper.joinpath(*["ab"] * 100)
    deep.mkdir(parents=True)
    for number in range(1000):
        (deep / f"{number}").mkdir()
    changes = overlaid.changes()
    assert len(changes) == 1100
    tracemalloc.start()
    try:
        changes.take()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_change_can_be_compared_and_kept() -> None:
    """It is a value."""
    assert Change("added", "/a", "file") == Change("added", "/a", "file")
    assert len({Change("added", "/a", "file"), Change("added", "/a", "file")}) == 1
