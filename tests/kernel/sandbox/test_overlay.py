"""Layers that the running kernel has mounted, and what real programs did to them."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramet._sandbox.overlay.changes import Changes
from ramet._sandbox.overlay.layer import Layer

from ...kernels import KERNEL, file_system_of
from .mounted import in_layer, in_own_mounts

pytestmark = pytest.mark.skipif(
    KERNEL < (5, 11) or (KERNEL < (6, 6) and file_system_of(tempfile.gettempdir()) == "tmpfs"),
    reason="a layer needs Linux 5.11, and in a tmpfs 6.6",
)

Tree = dict[str, tuple[str, int, str]]

# What an option of a mount has to escape. An overlay takes a comma by fsconfig(2), by which these tests
# mount, since Linux 6.5.
SPECIAL = "a:b,c\\d e" if KERNEL >= (6, 5) else "a:b\\d e"


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    """A directory with a few files."""
    return filled(tmp_path / SPECIAL)


@pytest.fixture
def open_lower() -> Iterator[Path]:
    """The same where everybody may come, which the directories of a test's own forbid."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        yield filled(Path(place, SPECIAL))


def filled(lower: Path) -> Path:
    (lower / "folder" / "sub").mkdir(parents=True)
    (lower / "file").write_text("old\n")
    (lower / "folder" / "inner").write_text("inner\n")
    (lower / "folder" / "sub" / "leaf").write_text("leaf\n")
    (lower / "link").symlink_to("file")
    return lower


def seen(top: Path) -> Tree:
    """All that is below a directory: kind, mode, content or target."""
    found = {}
    for path in sorted(top.rglob("*")):
        mode = path.lstat().st_mode
        about = ""
        if stat.S_ISLNK(mode):
            about = os.readlink(path)
        elif stat.S_ISREG(mode):
            about = path.read_text()
        found[str(path.relative_to(top))] = stat.filemode(mode)[0], stat.S_IMODE(mode), about
    return found


COMMANDS = [
    ("echo more >> file", ["modified file"]),
    ("exec 3>> file", []),
    ("cat file folder/inner", []),
    ("chmod 600 file", ["attributes file"]),
    ("touch -d @5 folder/inner", ["attributes folder/inner"]),
    ("rm file", ["deleted file"]),
    ("rm -r folder", ["deleted folder"]),
    ("rm -r folder; mkdir folder", ["deleted folder/inner", "deleted folder/sub"]),
    (
        "rm -r folder; mkdir -p folder/sub; echo x > folder/sub/new",
        ["deleted folder/inner", "deleted folder/sub/leaf", "added folder/sub/new"],
    ),
    ("rm -r folder; echo x > folder", ["type changed folder"]),
    ("rm file; mkdir file; echo x > file/in", ["type changed file", "added file/in"]),
    ("mv file moved", ["deleted file", "added moved"]),
    (
        "mv folder moved",
        [
            "deleted folder",
            "added moved",
            "added moved/inner",
            "added moved/sub",
            "added moved/sub/leaf",
        ],
    ),
    ("mkdir new; echo x > new/x; mv new newer", ["added newer", "added newer/x"]),
    ("ln file second", ["added second"]),
    ("ln file second; echo x >> second", ["modified file", "added second"]),
    ("ln -sf /etc/passwd link", ["modified link"]),
    ("rm link; echo x > link", ["type changed link"]),
    ("mkfifo pipe", ["added pipe"]),
    ("echo x > temporary; rm temporary", []),
    ("rm file; echo old > file; touch -r link file", ["attributes file"]),
    ("mkdir -p a/b/c; chmod 000 a/b/c; chmod 500 a/b", ["added a", "added a/b", "added a/b/c"]),
    ("chmod 700 .", ["attributes ."]),
    ("touch -d @5 .", []),
    ("truncate -s 1T sparse", ["added sparse"]),
]


@pytest.mark.parametrize(("command", "told"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_what_a_program_did(lower: Path, command: str, told: list[str]) -> None:
    """It is listed, the files are as before, and to take it over gives what the program had made here."""
    lower.chmod(0o755)
    os.utime(lower / "file", ns=(9, 9))
    copy = lower.with_name("copy")
    shutil.copytree(lower, copy, symlinks=True)
    before = seen(lower)
    with Changes(layer := Layer([lower])) as changes:
        in_layer(layer, "sh", "-ec", command)
        assert [f"{c.kind} {os.path.relpath(c.path, lower)}" for c in changes] == told
        assert bool(changes.diff()) == bool(told)
        assert seen(lower) == before
        if "sparse" in command:  # its content is more than this test can hold
            changes.take()
            assert (lower / "sparse").stat().st_blocks == 0
            return
        changes.take()
    subprocess.run(["sh", "-ec", command], cwd=copy, check=True, stdout=subprocess.DEVNULL)
    for top in (copy, lower):
        for closed in ("a/b", "a/b/c"):
            if (top / closed).exists():
                (top / closed).chmod(0o755)
    assert seen(lower) == seen(copy)
    assert stat.S_IMODE(lower.stat().st_mode) == stat.S_IMODE(copy.stat().st_mode)


# What a program does at random, the same for the same number wherever it runs.
AT_RANDOM = r"""
import contextlib, os, random, shutil, sys

rng = random.Random(int(sys.argv[1]))
NAMES = "file folder folder/inner folder/sub folder/sub/leaf link x y x/y folder/x".split()

def write(name):
    if not os.path.islink(name):
        with open(name, rng.choice("aw")) as file:
            file.write(rng.choice(["", "text\n", "more\n"]))

def remove(name):
    shutil.rmtree(name) if os.path.isdir(name) and not os.path.islink(name) else os.unlink(name)

def move(name):
    to = rng.choice(NAMES)
    if os.path.isdir(name) and not os.path.islink(name):
        if not f"{to}/".startswith(f"{name}/") and not os.path.lexists(to):
            shutil.copytree(name, to, symlinks=True)
            shutil.rmtree(name)
    else:
        os.rename(name, to)

def mode(name):
    if not os.path.islink(name):
        os.chmod(name, rng.choice([0o700, 0o755] if os.path.isdir(name) else [0o600, 0o644, 0o666]))

def link(name):
    os.link(name, rng.choice(NAMES), follow_symlinks=False)

def symlink(name):
    os.symlink(rng.choice(NAMES), name)

for _ in range(30):
    with contextlib.suppress(OSError):
        rng.choice([write, write, remove, move, mode, link, symlink, os.mkdir])(rng.choice(NAMES))
"""


@pytest.mark.parametrize("seed", range(25))
def test_what_a_program_does_at_random(lower: Path, seed: int) -> None:
    """To take it over gives the same files as to run it here."""
    copy = lower.with_name("copy")
    shutil.copytree(lower, copy, symlinks=True)
    program = [sys.executable, "-I", "-S", "-c", AT_RANDOM, str(seed)]
    with Changes(layer := Layer([lower])) as changes:
        in_layer(layer, *program)
        changes.take()
    subprocess.run(program, cwd=copy, check=True)
    assert seen(lower) == seen(copy)


# What a hostile program tries: to write what overlayfs itself would have written.
FORGE = r"""
import os, stat
os.mkdir("forged")
for name in ("opaque", "redirect", "whiteout", "metacopy"):
    for path in ("forged", "file", "folder"):
        try:
            os.setxattr(path, f"user.overlay.{name}", b"/etc" if name == "redirect" else b"y")
            os.setxattr(path, f"trusted.overlay.{name}", b"y")
        except OSError:
            pass
for name, mode in ("white", stat.S_IFCHR), ("null", stat.S_IFCHR | 0o666), ("disk", stat.S_IFBLK):
    try:
        os.mknod(name, mode, os.makedev(1, 3) if mode & 0o666 else 0)
        print("made", name)
    except PermissionError:
        pass
"""


def test_what_overlayfs_marks_cannot_be_forged(lower: Path) -> None:
    """No mark of the child's own hides anything or leads elsewhere, and it makes no device."""
    with Changes(layer := Layer([lower])) as changes:
        assert in_layer(layer, sys.executable, "-I", "-S", "-c", FORGE) == ""
        assert [f"{c.kind} {os.path.basename(c.path)}" for c in changes] == ["added forged"]


def test_a_file_that_may_be_written(tmp_path: Path) -> None:
    """It is written in place, and cannot be removed or renamed, as it is a mount there."""
    (tmp_path / "file").write_text("old\n")
    script = "echo more >> file; mv file other 2>/dev/null || rm file 2>/dev/null || echo busy"
    with Changes(layer := Layer([tmp_path / "file"])) as changes:
        assert in_layer(layer, "sh", "-c", script, where=str(tmp_path)) == "busy\n"
        assert (tmp_path / "file").read_text() == "old\n"
        assert [change.kind for change in changes] == ["modified"]
        changes.take()
    assert (tmp_path / "file").read_text() == "old\nmore\n"


def test_several_paths(tmp_path: Path) -> None:
    """Each has its own layer, and the changes come in the order of the paths."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    script = f"echo 1 > {tmp_path}/b/one; echo 2 > {tmp_path}/a/two"
    with Changes(layer := Layer([tmp_path / "b", tmp_path / "a"])) as changes:
        in_layer(layer, "sh", "-ec", script)
        assert [os.path.relpath(c.path, tmp_path) for c in changes] == ["a/two", "b/one"]
        changes.take()
    assert (tmp_path / "b" / "one").read_text() == "1\n"


OUTER = 231_072


@pytest.mark.parametrize("owner", [0, 4321])
def test_a_caller_who_is_root(open_lower: Path, root: None, owner: int) -> None:
    """The child has an id that nobody uses; what it leaves in the layer is the caller's, as is what is new.

    It may write what the owner of the path may, and no more.
    """
    lower = open_lower
    for path in (lower, *lower.rglob("*")):
        os.chown(path, owner, owner, follow_symlinks=False)
    (lower / "others").write_text("x")
    os.chown(lower / "others", 77, 77)
    (lower.parent / "alone").write_text("old\n")
    script = (
        "id -u; echo more >> file; rm -r folder; mkdir folder; echo new > new; chmod 4755 new; "
        "echo more >> ../alone; if echo x >> others; then echo wrong; fi 2> /dev/null"
    )
    layer = Layer([lower, lower.parent / "alone"])
    with Changes(layer) as changes:
        assert in_layer(layer, "sh", "-ec", script, where=str(lower), outer=OUTER) == "1000\n"
        assert [f"{c.kind} {os.path.relpath(c.path, lower)}" for c in changes] == [
            "modified file",
            "deleted folder/inner",
            "deleted folder/sub",
            "added new",
            "modified ../alone",
        ]
        in_upper = Path(layer.directory, layer.parts[0].upper)
        assert {path.lstat().st_uid for path in in_upper.rglob("*")} == {0}
        changes.take()
    assert (lower / "file").read_text() == "old\nmore\n"
    assert (lower / "file").stat().st_uid == owner
    new = (lower / "new").stat()
    assert (stat.S_IMODE(new.st_mode), new.st_uid) == (0o755, 0)


def was_mounted_for_writing(layer: Layer) -> bool:
    """Whether the kernel has done so: it leaves a directory of its own then."""
    return Path(layer.directory, layer.parts[0].work, "work").is_dir()


@pytest.mark.parametrize("place", ["/tmp", "/var/tmp", "/dev/shm"])
def test_the_places_of_layers(lower: Path, place: str) -> None:
    """A layer works wherever Layer itself would put one."""
    if KERNEL < (6, 6) and file_system_of(place) == "tmpfs":
        pytest.skip("a layer in a tmpfs needs Linux 6.6")
    with Changes(layer := Layer([lower], where=place)) as changes:
        assert not was_mounted_for_writing(layer)
        assert Path(layer.directory).parent.parent == Path(place)
        in_layer(layer, "sh", "-ec", "rm file; rm -r folder; mkdir folder; echo x > new")
        assert [change.kind for change in changes] == ["deleted"] * 3 + ["added"]
        assert was_mounted_for_writing(layer)


MOUNT = r"""
import ctypes, os, sys
from ramet._sandbox.overlay.layer import Layer
target, options = sys.argv[1], os.fsencode(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"overlay", os.fsencode(target), b"overlay", 0, options):
    sys.exit(os.strerror(ctypes.get_errno()))
with open(f"{target}/new", "w") as file:
    file.write("x")
os.unlink(f"{target}/file")
"""


def test_the_old_system_call_mounts_it_too(lower: Path) -> None:
    """mount(2) takes the same options in one string, whatever is in the paths."""
    with Changes(layer := Layer([lower])) as changes:
        options = layer.parts[0].data(str(lower), layer.directory)
        in_own_mounts(MOUNT, lower, os.fsdecode(options))
        assert [change.kind for change in changes] == ["deleted", "added"]


ON_OVERLAYFS = r"""
import os, subprocess, sys
from ramet._sandbox.overlay.layer import Layer
top = sys.argv[1]
for name in "lower", "upper", "work", "merged", "write":
    os.mkdir(f"{top}/{name}")
options = f"userxattr,lowerdir={top}/lower,upperdir={top}/upper,workdir={top}/work"
subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, f"{top}/merged"], check=True)
try:
    Layer([f"{top}/write"], where=f"{top}/merged")
except ValueError as error:
    print(error)
os.mkdir(f"{top}/merged/u"), os.mkdir(f"{top}/merged/w"), os.mkdir(f"{top}/m2")
options = f"userxattr,lowerdir={top}/lower,upperdir={top}/merged/u,workdir={top}/merged/w"
mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, f"{top}/m2"], stderr=-3)
print("the kernel", "refuses" if mounted.returncode else "permits")
"""


def test_no_layer_is_on_overlayfs(tmp_path: Path) -> None:
    """What Layer refuses there with a remedy, the kernel refuses as well."""
    refused, kernel = in_own_mounts(ON_OVERLAYFS, tmp_path).splitlines()
    assert "is on overlayfs, as a container's files are, where no layer can be" in refused
    assert "set TMPDIR to such a directory" in refused
    assert kernel == "the kernel refuses"


MOUNT_BELOW = r"""
import os, subprocess, sys
from ramet._sandbox.overlay.changes import Changes
from ramet._sandbox.overlay.layer import Layer
top = sys.argv[1]
os.makedirs(f"{top}/work/folder/mnt")
layer = Layer([f"{top}/work"])
os.mknod(f"{layer.directory}/upper0/folder", 0o20000, 0)
changes = Changes(layer)
print(changes[0].kind)
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", f"{top}/work/folder/mnt"], check=True)
open(f"{top}/work/folder/mnt/kept", "w").close()
try:
    changes.take()
except OSError as error:
    print(error)
print(os.listdir(f"{top}/work/folder/mnt"))
try:
    Layer([f"{top}/work"])
except ValueError as error:
    print(error)
"""


def test_no_deletion_goes_into_a_mount(tmp_path: Path) -> None:
    """A file system that is mounted below a deleted directory meanwhile stays; before, it is refused."""
    kind, failed, kept, refused = in_own_mounts(MOUNT_BELOW, tmp_path).splitlines()
    assert kind == "deleted"
    assert "EBUSY: another file system is mounted in it" in failed
    assert kept == "['kept']"
    assert "expected a directory without mounts below it" in refused
