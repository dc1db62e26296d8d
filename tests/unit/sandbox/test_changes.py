"""What a layer changes, as it is listed and read."""

import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ramet._sandbox.overlay import change_diff, change_finding
from ramet._sandbox.overlay.changes import Change, Changes
from ramet._sandbox.overlay.layer import Layer

from .conftest import Overlaid

Told = list[tuple[str, str]]


def add_file(o: Overlaid) -> None:
    (o.upper / "new").write_text("new")


def add_directory(o: Overlaid) -> None:
    (o.upper / "dir" / "sub").mkdir(parents=True)
    (o.upper / "dir" / "sub" / "file").write_text("")


def modify_same_size(o: Overlaid) -> None:
    found = (o.lower / "file").stat()
    (o.upper / "file").write_text("new\n")
    os.utime(o.upper / "file", ns=(found.st_atime_ns, found.st_mtime_ns))


def modify_below(o: Overlaid) -> None:
    (o.upper / "folder").mkdir()
    (o.upper / "folder" / "inner").write_text("longer than it was")


def only_opened(o: Overlaid) -> None:
    o.copy_up("file")


def change_mode(o: Overlaid) -> None:
    o.copy_up("file").chmod(0o600)


def touch(o: Overlaid) -> None:
    os.utime(o.copy_up("file"), ns=(1, 1))


def mode_of_directory(o: Overlaid) -> None:
    (o.upper / "folder").mkdir()
    (o.upper / "folder").chmod(0o700)


def mode_of_the_root(o: Overlaid) -> None:
    o.upper.chmod(0o711)


def delete(o: Overlaid) -> None:
    o.whiteout("file")
    o.whiteout("folder")


def delete_what_is_not_there(o: Overlaid) -> None:
    o.whiteout("gone")


def empty_directory(o: Overlaid) -> None:
    o.opaque("folder")


def replace_in_directory(o: Overlaid) -> None:
    (o.opaque("folder") / "inner").write_text("again")


def directory_to_file(o: Overlaid) -> None:
    (o.upper / "folder").write_text("")


def file_to_directory(o: Overlaid) -> None:
    (o.opaque("file") / "in").mkdir()


def directory_to_link(o: Overlaid) -> None:
    (o.upper / "folder").symlink_to("/etc")


def same_link(o: Overlaid) -> None:
    (o.upper / "link").symlink_to("file")


def other_link(o: Overlaid) -> None:
    (o.upper / "link").symlink_to("empty")


def no_text(o: Overlaid) -> None:
    (o.upper / os.fsdecode(b"\xff\n")).write_text("")


MADE: list[tuple[Callable[[Overlaid], None], Told]] = [
    (lambda o: None, []),
    (add_file, [("added", "new")]),
    (
        add_directory,
        [("added", "dir"), ("added", "dir/sub"), ("added", "dir/sub/file")],
    ),
    (modify_same_size, [("modified", "file")]),
    (modify_below, [("modified", "folder/inner")]),
    (only_opened, []),
    (change_mode, [("attributes", "file")]),
    (touch, [("attributes", "file")]),
    (mode_of_directory, [("attributes", "folder")]),
    (mode_of_the_root, [("attributes", ".")]),
    (delete, [("deleted", "file"), ("deleted", "folder")]),
    (delete_what_is_not_there, []),
    (empty_directory, [("deleted", "folder/inner"), ("deleted", "folder/other")]),
    (replace_in_directory, [("modified", "folder/inner"), ("deleted", "folder/other")]),
    (directory_to_file, [("type changed", "folder")]),
    (file_to_directory, [("type changed", "file"), ("added", "file/in")]),
    (directory_to_link, [("type changed", "folder")]),
    (same_link, []),
    (other_link, [("modified", "link")]),
    (no_text, [("added", "\udcff\n")]),
]


@pytest.mark.parametrize(("make", "told"), MADE, ids=lambda x: getattr(x, "__name__", ""))
def test_what_is_told_of_a_layer(
    overlaid: Overlaid, make: Callable[[Overlaid], None], told: Told
) -> None:
    """Each thing that differs is one change, and what is the same is none."""
    for path in overlaid.lower.iterdir():  # as in a file system whose times are exact
        os.utime(path, ns=(5, 5), follow_symlinks=False)
    make(overlaid)
    if (overlaid.upper / "link").is_symlink():
        os.utime(overlaid.upper / "link", ns=(5, 5), follow_symlinks=False)
    assert overlaid.told() == told


def test_what_an_opaque_directory_hides_is_gone_at_every_depth(overlaid: Overlaid) -> None:
    """A directory in an opaque one has no mark of its own, and shows nothing of the one below."""
    (overlaid.lower / "folder" / "sub").mkdir()
    (overlaid.lower / "folder" / "sub" / "leaf").write_text("")
    (overlaid.opaque("folder") / "sub").mkdir()
    assert overlaid.told() == [
        ("deleted", "folder/inner"),
        ("deleted", "folder/other"),
        ("deleted", "folder/sub/leaf"),
    ]


def test_marks_of_the_initial_user_namespace(overlaid: Overlaid, root: None) -> None:
    """A mount that root has made there marks with trusted attributes."""
    overlaid.opaque("folder", prefix="trusted")
    assert [kind for kind, _ in overlaid.told()] == ["deleted", "deleted"]


def test_a_whiteout_may_be_a_marked_file(overlaid: Overlaid) -> None:
    """So overlayfs writes it on overlayfs itself; it counts in a directory that is marked alone."""
    folder = overlaid.opaque("folder", b"x")
    (folder / "inner").touch()
    os.setxattr(folder / "inner", "user.overlay.whiteout", b"")
    (folder / "other").touch()
    (overlaid.upper / "file").touch()
    os.setxattr(overlaid.upper / "file", "user.overlay.whiteout", b"")
    assert overlaid.told() == [
        ("modified", "file"),
        ("deleted", "folder/inner"),
        ("modified", "folder/other"),
    ]


def test_a_redirect_is_refused(overlaid: Overlaid) -> None:
    """A directory that stands for another one is none that our mounts can have."""
    (overlaid.upper / "moved").mkdir()
    os.setxattr(overlaid.upper / "moved", "user.overlay.redirect", b"/folder")
    with pytest.raises(OSError, match="redirect_dir=nofollow, got a redirect"):
        len(overlaid.changes())


def test_what_a_change_tells(overlaid: Overlaid) -> None:
    """What it is by now, how many bytes, which mode, where it points to."""
    (overlaid.upper / "big").write_bytes(b"")
    os.truncate(overlaid.upper / "big", 1 << 40)
    (overlaid.upper / "big").chmod(0o4711)
    (overlaid.upper / "link").symlink_to("/etc/passwd")
    os.mkfifo(overlaid.upper / "pipe", 0o600)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{(there := os.open(overlaid.upper, os.O_PATH))}/sock")
        os.close(there)
    (overlaid.upper / "sock").chmod(0o600)
    overlaid.whiteout("folder")
    below = str(overlaid.lower)
    assert list(overlaid.changes()) == [
        Change("added", f"{below}/big", "file", 1 << 40, 0o4711),
        Change("deleted", f"{below}/folder", "directory"),
        Change("modified", f"{below}/link", "symbolic link", 0, 0o777, "/etc/passwd"),
        Change("added", f"{below}/pipe", "fifo", 0, 0o600),
        Change("added", f"{below}/sock", "socket", 0, 0o600),
    ]


def test_the_original_mode_is_told_where_reading_has_to_change_it(overlaid: Overlaid) -> None:
    """A plain user permits himself to enter what a child has closed; that is told as the child left it."""
    (overlaid.upper / "closed").mkdir()
    (overlaid.upper / "closed" / "file").write_text("content")
    (overlaid.upper / "closed" / "file").chmod(0)
    (overlaid.upper / "closed").chmod(0)
    changes = overlaid.changes()
    assert [(change.what, change.mode) for change in changes] == [("directory", 0), ("file", 0)]
    assert changes.read(overlaid.lower / "closed" / "file") == b"content"


def test_two_names_of_a_closed_file_have_one_mode(overlaid: Overlaid) -> None:
    """To read the one to compare it does not change what is told of the other."""
    overlaid.copy_up("file").chmod(0o200)
    os.link(overlaid.upper / "file", overlaid.upper / "second")
    assert [change.mode for change in overlaid.changes()] == [0o200, 0o200]


def test_it_is_a_sequence(overlaid: Overlaid) -> None:
    """It has a length, places, slices and membership, and says in one line what there is."""
    add_file(overlaid)
    overlaid.whiteout("file")
    changes = overlaid.changes()
    assert len(changes) == 2
    assert changes[1].path.endswith("/new")
    assert [change.kind for change in changes[:1]] == ["deleted"]
    assert changes[0] in changes
    assert repr(changes) == "<Changes: 1 added, 1 deleted>"
    assert str(changes) == (
        f"deleted {overlaid.lower}/file (file)\nadded {overlaid.lower}/new (file, 3 bytes)"
    )
    assert repr(Changes(overlaid.layer)) == repr(changes)


def test_nothing_changed(overlaid: Overlaid) -> None:
    """An empty layer has no changes and says so."""
    changes = overlaid.changes()
    assert (len(changes), bool(changes), str(changes)) == (0, False, "nothing changed")
    assert (repr(changes), changes.diff()) == ("<Changes: none>", "")


def test_what_is_printed_moves_no_cursor(overlaid: Overlaid) -> None:
    """Names are the child's choice: control characters and bytes that are no text are escaped."""
    (overlaid.upper / os.fsdecode(b"\x1b[2J\xff")).symlink_to("a\rb")
    (line,) = str(overlaid.changes()).splitlines()
    assert line.endswith("/\\x1b[2J\\udcff -> a\\rb (symbolic link)")


# ---- limits


def test_more_changes_than_are_held(overlaid: Overlaid, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child cannot fill the caller's memory with names."""
    monkeypatch.setattr(change_finding, "MOST_NAMES", 10)
    for number in range(11):
        (overlaid.upper / f"{number}").touch()
    with pytest.raises(OSError, match=r"expected no more than 10 names; discard it"):
        len(overlaid.changes())


def test_more_names_in_all_than_are_held(
    overlaid: Overlaid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each level is held while one goes deeper, and so is what an opaque directory hides."""
    monkeypatch.setattr(change_finding, "MOST_NAMES", 10)
    (overlaid.upper / "a" / "b").mkdir(parents=True)
    for number in range(4):
        (overlaid.upper / f"z{number}").touch()
        (overlaid.upper / "a" / f"z{number}").touch()
    assert len(overlaid.changes()) == 10
    overlaid.opaque("folder")
    with pytest.raises(OSError, match=r"expected no more than 10 names; discard it"):
        len(overlaid.changes())
    shutil.rmtree(overlaid.upper / "a" / "b")
    (overlaid.upper / "a" / "z0").unlink()
    with pytest.raises(OSError, match=r"expected no more than 10 names; discard it"):
        len(overlaid.changes())


def test_longer_paths_than_are_held(overlaid: Overlaid, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor with few names in deep directories."""
    monkeypatch.setattr(change_finding, "MOST_PATH_BYTES", 1000)
    for number in range(10):
        (overlaid.upper / f"{number}".zfill(200)).touch()
    with pytest.raises(OSError, match=r"expected no paths of more than 1000 bytes"):
        len(overlaid.changes())


def test_letters_of_four_bytes(overlaid: Overlaid, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in a name makes the path four times as large in Python's memory."""
    monkeypatch.setattr(change_finding, "MOST_PATH_BYTES", 1000)
    (overlaid.upper / ("a" * 200)).touch()
    assert len(overlaid.changes()) == 1
    (overlaid.upper / ("a" * 200)).rename(overlaid.upper / ("a" * 196 + "\U0001f427"))
    with pytest.raises(OSError, match=r"expected no paths of more than 1000 bytes"):
        len(overlaid.changes())


def test_directories_deeper_than_is_read(overlaid: Overlaid) -> None:
    """Depth takes descriptors and frames; beyond 128 it is refused, and the layer goes all the same."""
    (overlaid.upper / "/".join(["d"] * 127)).mkdir(parents=True)
    assert len(overlaid.changes()) == 127
    (overlaid.upper / "/".join(["d"] * 130)).mkdir(parents=True)
    changes = overlaid.changes()
    with pytest.raises(OSError, match="directories deeper than 128"):
        len(changes)
    why = "cannot be read: invalid layer: expected no directories deeper than 128"
    assert str(changes).startswith(f"changes {why}")
    assert repr(changes).startswith(f"<Changes, which {why}")


@pytest.mark.parametrize(
    ("lower", "upper", "kinds"),
    [
        ({}, {}, ["attributes"]),
        ({5 << 20: b"a"}, {5 << 20: b"a"}, ["attributes"]),
        ({5 << 20: b"a"}, {5 << 20: b"a", 1 << 39: b"b"}, ["modified"]),
        ({1 << 39: b"a"}, {}, ["modified"]),
        ({1 << 39: b"\0"}, {5 << 20: b"\0" * (3 << 20)}, ["attributes"]),
    ],
)
def test_holes_are_not_read(
    overlaid: Overlaid, lower: dict[int, bytes], upper: dict[int, bytes], kinds: list[str]
) -> None:
    """A file of the caller's with a terabyte of them is a child's to touch for nothing."""
    for place, pieces in ((overlaid.lower, lower), (overlaid.upper, upper)):
        with open(place / "file", "wb") as file:
            file.truncate(1 << 40)
            for at, piece in pieces.items():
                os.pwrite(file.fileno(), piece, at)
    (overlaid.upper / "file").chmod(0o600)
    assert [change.kind for change in overlaid.changes()] == kinds


# ---- reading


def test_a_new_file_is_read(overlaid: Overlaid) -> None:
    """Its bytes are those of the layer, up to a limit."""
    (overlaid.upper / "file").write_text("newer")
    changes = overlaid.changes()
    assert changes.read(overlaid.lower / "file") == b"newer"
    with pytest.raises(OSError, match="expected 5 bytes or more for this file, got 4") as error:
        changes.read(f"{overlaid.lower}/file", limit=4)
    assert error.value.errno == 27


@pytest.mark.parametrize("name", ["link", "pipe", "folder", "other", "dir"])
def test_what_is_no_new_file_is_not_read(overlaid: Overlaid, name: str) -> None:
    """A link is not followed, and a fifo is not opened, on which one would wait for ever."""
    (overlaid.upper / "link").symlink_to("/etc/passwd")
    os.mkfifo(overlaid.upper / "pipe")
    (overlaid.upper / "dir").mkdir()
    overlaid.whiteout("folder")
    with pytest.raises(ValueError, match="invalid path: expected that of a"):
        overlaid.changes().read(overlaid.lower / name)


def test_a_diff_of_text(overlaid: Overlaid) -> None:
    """Text is shown as diff does; of the rest there is one line each."""
    (overlaid.upper / "file").write_text("old\nmore")
    (overlaid.upper / "bytes").write_bytes(b"\0\1")
    (overlaid.upper / "new").write_text("a\n")
    (overlaid.upper / "long").write_text("a\n" * 6000)
    (overlaid.upper / "folder").mkdir()
    overlaid.whiteout("folder/inner")
    overlaid.whiteout("empty")
    at = str(overlaid.lower)
    assert overlaid.changes().diff() == (
        f"added {at}/bytes (file, 2 bytes): not shown, since it is no text or too long\n"
        f"deleted {at}/empty (directory)\n"
        f"--- a{at}/file\n+++ b{at}/file\n@@ -1 +1,2 @@\n old\n+more\n\\ No newline at end of file\n"
        f"--- a{at}/folder/inner\n+++ /dev/null\n@@ -1 +0,0 @@\n-inner\n"
        f"added {at}/long (file, 12000 bytes): not shown, since it is no text or too long\n"
        f"--- /dev/null\n+++ b{at}/new\n@@ -0,0 +1 @@\n+a\n"
    )


def test_a_diff_of_attributes(overlaid: Overlaid) -> None:
    """One line, also where they are those of the directory itself."""
    overlaid.upper.chmod(0o700)
    overlaid.copy_up("file").chmod(0o600)
    changes = overlaid.changes()
    assert [os.path.relpath(change.path, overlaid.lower) for change in changes] == [".", "file"]
    assert changes.diff() == "".join(f"{change}\n" for change in changes)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two words", "+++ b{at}/two words\t"),
        ("l\nf", '+++ "b{at}/l\\012f"'),
        ('a "quote"', '+++ "b{at}/a \\042quote\\042"'),
        ("back\\slash", '+++ "b{at}/back\\134slash"'),
        ("\udcff", '+++ "b{at}/\\377"'),
        ("ü", "+++ b{at}/ü"),
    ],
)
def test_a_diff_names_that_file_alone(overlaid: Overlaid, name: str, shown: str) -> None:
    """patch(1) takes a name to end at a blank, and knows escapes in quotes alone."""
    (overlaid.upper / name).write_text("text\n")
    lines = overlaid.changes().diff().split("\n")
    assert lines[1] == shown.format(at=overlaid.lower)


def test_a_diff_has_an_end(overlaid: Overlaid, monkeypatch: pytest.MonkeyPatch) -> None:
    """More names of one file cost a child nothing, and a diff of each would take the caller's memory."""
    monkeypatch.setattr(change_diff, "MOST_LETTERS", 1000)
    (overlaid.upper / "0").write_text("text\n" * 100)
    for number in range(1, 9):
        os.link(overlaid.upper / "0", overlaid.upper / f"{number}")
    shown, last = overlaid.changes().diff().rstrip("\n").rsplit("\n", 1)
    assert shown.count("+++ b") == 2
    assert last == "and 7 more changes: not shown, since the diff is too long"


def test_long_comparisons_have_an_end(overlaid: Overlaid, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two long texts take seconds to compare, and may differ in a line."""
    monkeypatch.setattr(change_diff, "MOST_LETTERS", 20_000)
    for name in ("1", "2", "3"):
        (overlaid.lower / name).write_text("text\n" * 1000)
        (overlaid.upper / name).write_text("text\n" * 1000 + name)
    shown, last = overlaid.changes().diff().rstrip("\n").rsplit("\n", 1)
    assert shown.count("+++ b") == 2
    assert last.startswith("and 1 more changes")


def test_few_lines_with_long_names(overlaid: Overlaid) -> None:
    """A thousand may have millions of letters."""
    inner = overlaid.upper.joinpath(*["\x1b" * 250] * 12)
    inner.mkdir(parents=True)
    for number in range(200):
        (inner / f"{number}").touch()
    *lines, last = str(overlaid.changes()).splitlines()
    assert sum(map(len, lines)) < 2 << 20
    assert last == f"and {212 - len(lines)} more"


# ---- the end


def test_they_can_be_thrown_away(overlaid: Overlaid) -> None:
    """What was listed can still be seen; the files are gone, and an error says so."""
    add_file(overlaid)
    with overlaid.changes() as changes:
        assert len(changes) == 1
    assert changes.discarded
    assert not overlaid.upper.exists()
    assert repr(changes) == "<Changes: 1 added, discarded>"
    with pytest.raises(ValueError, match="they were discarded"):
        changes.read(overlaid.lower / "new")
    with pytest.raises(ValueError, match="they were discarded"):
        changes.take()
    changes.discard()
    unseen = overlaid.changes()
    assert repr(unseen) == "<Changes, discarded>"
    assert str(unseen).startswith("changes cannot be read: invalid use of changes: they were disc")
    with pytest.raises(ValueError, match="they were discarded"):
        len(unseen)


def test_a_file_that_may_be_written(tmp_path: Path) -> None:
    """Its copy is compared with it."""
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").write_text("old\n")
    with Changes(layer := Layer([tmp_path / "link"])) as changes:
        copy = Path(layer.directory, layer.parts[0].source)
        assert list(Changes(layer)) == []
        copy.write_text("new\n")
        assert [(c.kind, c.path) for c in changes] == [("modified", f"{tmp_path}/link")]
        assert changes.read(tmp_path / "link") == b"new\n"


def test_a_directory_that_others_have_removed(overlaid: Overlaid) -> None:
    """Then all that is in the layer is new."""
    add_file(overlaid)
    overlaid.lower.rename(overlaid.lower.with_name("elsewhere"))
    assert overlaid.told() == [("added", "."), ("added", "new")]


def test_a_file_that_the_caller_may_not_read(overlaid: Overlaid) -> None:
    """It is not compared: a copy of it in the layer counts as modified. Root may read all."""
    (overlaid.lower / "file").chmod(0)
    copy = overlaid.upper / "file"
    copy.write_text("old\n")
    copy.chmod(0)
    os.utime(copy, ns=(7, 7))
    os.utime(overlaid.lower / "file", ns=(7, 7))
    assert overlaid.told() == ([] if os.geteuid() == 0 else [("modified", "file")])
    assert stat.S_IMODE((overlaid.lower / "file").stat().st_mode) == 0
