import errno
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from ramet import SandboxError
from ramet._sandbox.planning.plan import plan
from ramet._sandbox.planning.questions import Answer
from ramet._sandbox.planning.row import Row

from .given_machine import described, given


@pytest.fixture
def rows() -> Any:
    """The rows of paths of a sandbox; the user of the sandbox is the caller, or another with uid=0."""

    def of(sandbox: Any, **answers: Any) -> list[Row]:
        machine = given(**{"uid": 1000, **answers})
        return [row for row in plan(sandbox, machine=machine).rows if row.path]

    return of


def test_paths_that_are_there_have_no_row(rows: Any, tmp_path: Path) -> None:
    """Files and directories to read, write and hide, a root and a file of system calls."""
    work, filter_ = tmp_path / "work", tmp_path / "filter"
    work.mkdir()
    file, hidden = work / "file", work / "hidden"
    for path in (file, hidden, filter_):
        path.touch()
    assert rows(described(read=[file], write=[work], hidden=[hidden], syscalls=filter_)) == []


@pytest.mark.parametrize("wish", ["read", "write", "hidden", "root", "syscalls", "network"])
def test_a_path_that_does_not_exist(rows: Any, tmp_path: Path, wish: str) -> None:
    """The wish is named, and a near name if there is one."""
    (tmp_path / "project").mkdir()
    missing = str(tmp_path / "projetc")
    given = [missing] if wish in ("read", "write", "hidden") else missing
    (row,) = rows(described(**{wish: given}))
    assert (row.wish, row.path, row.mistaken) == (wish, missing, True)
    assert row.shortfall == f"{missing!r} does not exist"
    assert row.remedy == f"did you mean {str(tmp_path / 'project')!r}?"


@pytest.mark.parametrize("path", ["~", "~/project", "~root/x"])
def test_a_tilde_is_a_name_like_any_other(rows: Any, path: str) -> None:
    """As for open(); who means a directory of a user's is told what finds it."""
    (row,) = rows(described(read=[path]))
    assert row.remedy.startswith("give os.path.expanduser() of it")


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("$HOME/x", "give os.path.expandvars() of it: '$' is"),
        ("src/*.py", "name each path, or the directory that has them: '*' and '?' are"),
        ("src/a?", "name each path, or the directory that has them: '*' and '?' are"),
    ],
)
def test_what_a_shell_replaces_is_not_replaced(rows: Any, path: str, remedy: str) -> None:
    """Nobody is told to make a file of such a name; one that is there is shown as any other."""
    (row,) = rows(described(read=[path]))
    assert row.remedy.startswith(remedy)


@pytest.mark.parametrize("name", ["$x", "a*b"])
def test_a_file_with_a_name_that_a_shell_replaces(rows: Any, name: str, tmp_path: Path) -> None:
    """It is there, and so there is nothing to say of it."""
    (tmp_path / name).touch()
    assert rows(described(read=[tmp_path / name])) == []


def test_a_path_below_one_that_does_not_exist(rows: Any, tmp_path: Path) -> None:
    """The word that is wrong is found, and what follows it is kept where that is there."""
    (tmp_path / "project" / "src").mkdir(parents=True)
    (row,) = rows(described(read=[tmp_path / "projetc" / "src"]))
    assert row.remedy == f"did you mean {str(tmp_path / 'project' / 'src')!r}?"
    (row,) = rows(described(read=[tmp_path / "projetc" / "docs"]))
    assert row.remedy == f"did you mean {str(tmp_path / 'project')!r}?"
    (row,) = rows(described(read=[tmp_path / "zzz"]))
    assert row.remedy == "make it first, or leave it out"


def test_a_mistyped_word_for_system_calls(rows: Any, tmp_path: Path) -> None:
    """It was taken for a path; the words are named."""
    (row,) = rows(described(syscalls=tmp_path / "strcit"))
    assert row.remedy == "did you mean 'strict'?"
    (row,) = rows(described(syscalls=tmp_path / "most"))
    assert row.remedy == "name 'default', 'strict' or a file that is there"


def test_a_mistaken_path_is_refused_in_any_case(tmp_path: Path) -> None:
    """Also with require="best": it is no fault of the machine."""
    missing = str(tmp_path / "missing")
    with pytest.raises(SandboxError) as caught:
        plan(described(read=[missing], require="best"), machine=given()).refuse_if_short()
    error = caught.value
    assert (error.errno, error.wish, error.filename) == (errno.ENOENT, "read", missing)
    assert "does not exist" in str(error)


def test_a_path_of_another_kind(rows: Any, tmp_path: Path) -> None:
    """Only a directory is a root, only files and directories are written to."""
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.touch()
    os.mkfifo(pipe)
    (row,) = rows(described(root=file))
    assert row.shortfall == f"expected a directory, got {str(file)!r}, which is a file"
    (row,) = rows(described(write=["/dev/null"]))
    assert row.shortfall.endswith("got '/dev/null', which is a character device")
    (row,) = rows(described(read=["/dev/ptmx"]))
    assert row.shortfall.endswith("got '/dev/ptmx', which is a character device")
    assert row.remedy.startswith("leave it out: a sandbox has null, ")
    assert rows(described(read=[file, pipe, "/dev/null"])) == []
    (row,) = rows(described(hidden=[pipe]))
    assert row.shortfall.endswith("which is a named pipe")
    (row,) = rows(described(syscalls=tmp_path))
    assert row.shortfall.startswith("expected a file, got ")


@pytest.mark.parametrize("wish", ["read", "write"])
def test_a_path_below_dev(rows: Any, wish: str) -> None:
    """With mounts it would be covered; without them it is the caller's."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        (row,) = rows(described(**{wish: [path]}))
        assert (row.wish, row.path, row.mistaken) == (wish, path, True)
        assert row.shortfall.startswith(f"{path!r} is in /dev, of which the sandbox has its own")
        (link := Path(path) / "link").symlink_to(path)
        (row,) = rows(described(**{wish: [link]}))
        assert row.path == str(link)
        assert rows(described(hidden=[path])) == []
        assert rows(described(**{wish: [path]}), mounts=Answer(errno.EPERM, "mount")) == []


def test_symbolic_links(rows: Any, tmp_path: Path) -> None:
    """A link is as good as what it leads to; one that leads to nothing, or to itself, is told."""
    good, dangling, circle = tmp_path / "good", tmp_path / "dangling", tmp_path / "circle"
    (tmp_path / "real").mkdir()
    good.symlink_to("real")
    dangling.symlink_to("nowhere")
    circle.symlink_to(circle)
    assert rows(described(write=[good])) == []
    (row,) = rows(described(read=[dangling]))
    assert (
        row.shortfall == f"{str(dangling)!r} is a symbolic link to 'nowhere', which does not exist"
    )
    (row,) = rows(described(read=[circle]))
    assert row.shortfall == f"{str(circle)!r} is a symbolic link in a circle"


@pytest.mark.parametrize("wish", ["read", "network"])
def test_a_process_that_has_ended(rows: Any, wish: str) -> None:
    """The links of a zombie lead nowhere, and cannot be read."""
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    path = f"/proc/{child.pid}/ns/net"
    (row,) = rows(described(**{wish: [path] if wish == "read" else path}))
    child.wait()
    assert (row.wish, row.path, row.mistaken) == (wish, path, True)
    assert row.shortfall.startswith(f"{path!r} leads nowhere: ")
    assert row.refused.errno == errno.ENOENT


@pytest.mark.parametrize(
    ("wish", "name", "remedy"),
    [("read", "root", "call as one"), ("network", "ns/net", "/run/netns")],
)
def test_a_process_that_the_caller_may_not_trace(
    rows: Any, wish: str, name: str, remedy: str
) -> None:
    """Its links cannot be read; it is told, and by plan() as well."""
    path = f"/proc/1/{name}"
    try:
        os.readlink(path)
    except PermissionError:
        pass
    else:
        pytest.skip("the caller may trace the init")
    (row,) = rows(described(**{wish: [path] if wish == "read" else path}))
    assert row.shortfall == f"{path!r} is of a process that the caller may not look into"
    assert remedy in row.remedy
    assert row.refused.errno == errno.EACCES


def test_a_path_that_the_caller_may_not_search(rows: Any, tmp_path: Path) -> None:
    """The directory that is closed to it is named."""
    if os.geteuid() == 0:
        pytest.skip("root may search any")
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0)
    (row,) = rows(described(read=[closed / "inner"]))
    closed.chmod(0o700)
    assert row.shortfall.endswith(f"is below {str(closed)!r}, which the caller may not search")
    assert row.refused.errno == errno.EACCES


def test_a_path_that_the_caller_may_not_use(rows: Any, tmp_path: Path) -> None:
    """A sandbox with the caller's rights has none where the caller has none."""
    if os.geteuid() == 0:
        pytest.skip("root may read and write any")
    file = tmp_path / "file"
    file.touch()
    file.chmod(0o400)
    (row,) = rows(described(write=[file]))
    assert (row.met, row.mistaken) == ("not", False)
    assert row.shortfall == f"the caller may not write to {str(file)!r}"
    assert rows(described(write=[file], overlay=True)) == []
    file.chmod(0)
    (row,) = rows(described(read=[file]))
    assert row.shortfall == f"the caller may not read {str(file)!r}"


def test_another_user_without_mapped_ids(rows: Any, tmp_path: Path) -> None:
    """It writes where others may, as nobody that is known; else the wish is not met."""
    sandbox = described(write=[tmp_path])
    assert rows(sandbox, uid=0) == []
    (row,) = rows(sandbox, uid=0, idmapped=())
    assert (row.met, row.mechanism) == ("partly", "the permissions of others")
    denied = Answer(errno.EACCES, "faccessat2")
    (row,) = rows(sandbox, uid=0, idmapped=(), by_others=denied)
    assert row.met == "not"
    assert "chmod o+w" in row.remedy
    (row,) = rows(described(read=[tmp_path]), uid=0, idmapped=(), by_others=denied)
    assert row.remedy == f"chmod o+rX {tmp_path}"


def test_ids_are_mapped_in_mount_namespaces_alone(rows: Any, tmp_path: Path) -> None:
    """Without a mount namespace another user has what others may."""
    no = Answer(errno.EPERM, "mount")
    found = rows(described(write=[tmp_path], system=False), uid=0, mounts=no, by_others=no)
    assert [row.met for row in found] == ["not"]
    (row,) = rows(described(read=[tmp_path], system=False), uid=0, mounts=no, by_others=no)
    assert row.remedy == f"chmod o+rX {tmp_path}, and o+x for the directories on the way"


def test_a_python_that_others_cannot_reach(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without mounts another user has to search the way to it; the row names what is closed."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python").touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(closed / "python"))
    no = Answer(errno.EPERM, "mount")
    (row,) = rows(described(), uid=0, mounts=no)
    assert (row.path, row.met) == (str(closed / "python"), "not")
    assert row.remedy.startswith("chmod o+x /")
    assert rows(described(), uid=0) == []
    assert rows(described(), uid=1000, mounts=no) == []
