"""Files from which a sandbox is made, replaced between two programs: what they are by now counts."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import DEVNULL, Sandbox
from ramet import CloneFlag as F

from ...constants import SECONDS
from ...seccomp import be_in_a_container
from .suites import directory, run, told
from .taken_away import needs_all, needs_landlock

pytestmark = needs_all

NO_DIRECTORIES = (
    '{"defaultAction": "SCMP_ACT_ALLOW", '
    '"syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}'
)


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory of this machine."""
    with directory() as path:
        yield path


def test_a_filter(outside: Path) -> None:
    """Of a file that has changed its content, or has become another."""
    file, sandbox = outside / "filter", Sandbox(syscalls=outside / "filter")
    file.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}')
    told("mkdir /tmp/made", sandbox)
    file.write_text(NO_DIRECTORIES)
    assert "Operation not permitted" in run("mkdir /tmp/made", sandbox).stderr
    file.unlink()
    with pytest.raises(ramet.SandboxError, match="filter' does not exist"):
        run("true", sandbox)


@pytest.mark.parametrize("warm", [0, 1])
@pytest.mark.parametrize("above", ["/tmp", "/var/tmp"])
def test_a_link_in_a_named_path(above: str, warm: int) -> None:
    """What it leads to by now is written, and is where the next program begins, also of a Command."""
    with tempfile.TemporaryDirectory(dir=above) as made:
        place = Path(os.path.realpath(made))
        place.chmod(0o755)
        sandbox = Sandbox(write=[place / "now"], warm=warm)
        program = f"cat {place}/now/name; pwd; echo $HOME; pwd > {place}/now/made"
        command = None
        for name in "aba":
            (place / name).mkdir(exist_ok=True)
            (place / name).chmod(0o777)
            (place / name / "name").write_text(f"{name}\n")
            (place / "new").symlink_to(name)
            (place / "new").rename(place / "now")
            expected = [name, f"{place}/{name}", f"{place}/{name}"]
            assert told(program, sandbox).split() == expected
            assert (place / name / "made").exists()
            (place / name / "made").unlink()
            command = command or ramet.Command(
                ["sh", "-c", program], sandbox=sandbox, stdout=DEVNULL
            )
            with command.spawn() as child:
                assert child.wait(SECONDS).success
            assert (place / name / "made").read_text() == f"{place}/{name}\n"
            (place / name / "made").unlink()


def replace(path: Path, how: str, content: str) -> None:
    """A file, or a directory with a file, is another by now: renamed over it, or made when it was gone."""
    if path.is_dir():
        shutil.rmtree(path)
        path.mkdir()
        path /= "key"
    elif how == "made anew":
        path.unlink()
    (path.parent / "new").write_text(content)
    (path.parent / "new").rename(path)
    path.chmod(0o666)


@pytest.mark.parametrize("how", ["renamed", "made anew"])
@pytest.mark.parametrize("warm", [0, 1])
@pytest.mark.parametrize("wish", ["read", "write", "root"])
def test_what_is_hidden(wish: str, warm: int, how: str, outside: Path) -> None:
    """It is hidden from the next program, also where ext4 gives the number of the old file to the new."""
    hidden = [outside / "secret", outside / "directory"]
    hidden[0].write_text("first")
    hidden[1].mkdir()
    named = Path("/") if wish == "root" else outside
    wishes: dict[str, Any] = {wish: named if wish == "root" else [named]}
    sandbox = Sandbox(**wishes, hidden=hidden, warm=warm)
    program = f"cat {outside}/secret; ls -A {outside}/directory"
    command = ramet.Command(["sh", "-c", f'test -z "$({program})"'], sandbox=sandbox)
    for content in ("second", "third", "fourth"):
        assert told(program, sandbox) == ""
        with command.spawn() as child:
            assert child.wait(SECONDS).success
        for path in hidden:
            replace(path, how, content)


@pytest.mark.parametrize("how", ["renamed", "made anew", "above it"])
def test_what_is_read_below_what_is_written(how: str, outside: Path) -> None:
    """The next program may not write it, nor move the directory above it."""
    (outside / "git").mkdir()
    file = outside / "git" / "config"
    file.write_text("first\n")
    for path in (outside, outside / "git"):
        path.chmod(0o777)
    sandbox = Sandbox(write=[outside], read=[file])
    program = f"echo written >> {file}; mv {outside}/git {outside}/other; cat {file}"
    for content in ("second\n", "third\n", "fourth\n"):
        refused = run(program, sandbox).stderr
        assert f"{file}: Read-only file system" in refused
        assert f"cannot move '{outside}/git'" in refused
        if how == "above it":
            (outside / "git").rename(outside / "moved")
            shutil.copytree(outside / "moved", outside / "git")
            shutil.rmtree(outside / "moved")
        replace(file, how, content)
        assert file.read_text() == content


def test_what_is_hidden_and_is_gone(outside: Path) -> None:
    """It is named, and nothing runs: what is made there next would be seen."""
    (outside / "secret").write_text("first")
    sandbox = Sandbox(read=[outside], hidden=[outside / "secret"])
    told("true", sandbox)
    (outside / "secret").unlink()
    with pytest.raises(FileNotFoundError, match=r"invalid hidden: .*secret'"):
        told("true", sandbox)


@pytest.fixture
def image(outside: Path) -> Path:
    """A directory that is a root."""
    for name in ("usr", "proc", "dev", "tmp", "etc"):
        (outside / name).mkdir()
    for name in ("bin", "lib", "lib64"):
        (outside / name).symlink_to(f"usr/{name}")
    return outside


def test_what_is_hidden_in_an_image(image: Path) -> None:
    """The file of the image counts, whose path begins there."""
    sandbox = Sandbox(root=image, read=["/usr"], hidden=["/etc/passwd"])
    (image / "etc" / "passwd").write_text("first")
    for how, content in (("renamed", "second"), ("made anew", "third"), ("made anew", "fourth")):
        assert told("cat /etc/passwd", sandbox) == ""
        replace(image / "etc" / "passwd", how, content)
    assert told("cat /etc/passwd", sandbox) == ""


@pytest.mark.parametrize("name", ["dev", "proc", "tmp"])
def test_a_place_in_an_image(name: str, image: Path) -> None:
    """One that is made anew serves; one that is gone is named, with what makes it."""
    sandbox = Sandbox(root=image, read=["/usr"])
    for _ in range(2):
        told("ls /", sandbox)
        (image / name).rmdir()
        with pytest.raises(
            ramet.SandboxError, match=f"root has no directory .*/{name}'"
        ) as refused:
            told("ls /", sandbox)
        assert refused.value.remedy == f"mkdir -p {image / name}"
        (image / name).mkdir()
        told("ls /", sandbox)
        (image / name).rmdir()
        (image / name).mkdir()


@needs_landlock(1)
def test_a_link_in_a_named_path_without_mounts(outside: Path) -> None:
    """Landlock's rules are those of what it leads to by now."""

    def in_copy() -> list[str]:
        be_in_a_container()
        sandbox, found = Sandbox(write=[outside / "now"], require="best"), []
        for name in ("a", "b"):
            (outside / "new").symlink_to(name)
            (outside / "new").rename(outside / "now")
            command = f"cd {outside}; echo made > now/made; echo made > a/other; cat a/made b/made"
            found.append(run(command, sandbox).stdout)
        return found

    for name in ("a", "b"):
        (outside / name).mkdir()
        (outside / name).chmod(0o777)
    with ramet.clone(in_copy) as child:
        assert child.result(SECONDS) == ["made\n", "made\n"]
    assert not (outside / "b" / "other").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_network_namespace(outside: Path) -> None:
    """The one to which the path leads by now."""
    place, seen = outside / "network", []
    sandbox = Sandbox(network=place)
    with (
        ramet.Popen(["cat"], flags=F.NEWNET, stdin=ramet.PIPE) as first,
        ramet.Popen(["cat"], flags=F.NEWNET, stdin=ramet.PIPE) as second,
    ):
        for holder in (first, second):
            place.unlink(missing_ok=True)
            place.symlink_to(f"/proc/{holder.pid}/ns/net")
            seen.append(told("readlink /proc/self/ns/net", sandbox).strip())
            assert seen[-1] == os.readlink(f"/proc/{holder.pid}/ns/net")
        for holder in (first, second):
            holder.communicate(b"")
    assert seen[0] != seen[1]
