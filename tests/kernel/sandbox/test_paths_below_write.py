"""Named paths below a path of ``write``: a child may change the way to them, and gains nothing."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import Sandbox, SandboxError
from ramet._sandbox import system_files, view, ways

from ...constants import SECONDS
from ...seccomp import be_in_a_container
from .suites import directory, run, told
from .taken_away import needs_all, needs_landlock

pytestmark = needs_all

KEY = "the caller's key"


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory of this machine, with one that is not shown, and one to be written."""
    with directory() as path:
        (path / "secret" / "y").mkdir(parents=True)
        for place in (path / "secret", path / "secret" / "y"):
            (place / "key").write_text(KEY)
        (path / "work" / "x" / "y").mkdir(parents=True)
        for place in (path / "work", path / "work" / "x", path / "work" / "x" / "y"):
            place.chmod(0o777)
        yield path


@pytest.mark.parametrize("name", ["x", "x/y"])
@pytest.mark.parametrize("wish", ["read", "write", "hidden", "root"])
def test_a_link_that_a_child_has_made(wish: str, name: str, outside: Path) -> None:
    """It is not followed by a later sandbox: one that is used again, an equal one, or another."""
    work = outside / "work"
    named: dict[str, Any] = {"write": [work]}
    named[wish] = [work, work / name] if wish == "write" else [work / name]
    if wish == "root":
        named[wish] = work / name
    told(f"cd {work}; mv x z; ln -s {outside}/secret x", Sandbox(write=[work]))
    for sandbox in (Sandbox(**named), Sandbox(**named, require="best")):
        with pytest.raises(
            SandboxError, match=f"{wish}: .*{name}' leads through .*x' to"
        ) as refused:
            run(f"cat {work}/{name}/key", sandbox)
        assert refused.value.errno == errno.ELOOP
        assert refused.value.filename == str(work / name)
        assert refused.value.remedy.startswith("look where it leads; then remove the link")
    assert sorted(os.listdir(outside / "secret")) == ["key", "y"]


@pytest.mark.parametrize("release", [True, False])
def test_a_link_in_the_place_of_a_path_that_was_used(outside: Path, *, release: bool) -> None:
    """The description is refused when it is used again, whether or not something was kept for it."""
    work = outside / "work"
    sandbox = Sandbox(write=[work, work / "x"])
    told(f"cd {work}; mv x z; ln -s {outside}/secret x", sandbox)
    if release:
        sandbox.release()
    with pytest.raises(SandboxError, match="leads through the symbolic link"):
        run(f"cat {work}/x/key", sandbox)
    (work / "x").unlink()
    (work / "x").mkdir(mode=0o755)
    told(f"ls {work}/x", sandbox)


def test_a_link_of_the_callers(outside: Path) -> None:
    """One that is beside what is written is followed, also where it leads to what is written."""
    work = outside / "work"
    (outside / "now").symlink_to("work/x")
    (work / "other").symlink_to("x")
    sandbox = Sandbox(write=[outside / "now", work])
    told(f"echo made > {outside}/now/made; cat {work}/other/made", sandbox)
    assert (work / "x" / "made").read_text() == "made\n"


def test_a_link_that_leads_on_by_others(outside: Path) -> None:
    """A link of the caller's may lead through one of a child's, by .. too."""
    work = outside / "work"
    (work / "link").symlink_to(outside / "secret")
    for number, target in enumerate(["work/link/key", "secret/../work/link/key"]):
        (outside / f"to{number}").symlink_to(target)
        with pytest.raises(SandboxError, match=f"leads through .*{work}/link' to"):
            run("true", Sandbox(write=[work], read=[outside / f"to{number}"]))


def test_the_way_down_to_a_path_stays(outside: Path) -> None:
    """What is on the way from a written directory to one that is read or hidden cannot be moved."""
    work = outside / "work"
    (work / "x" / "y" / "key").write_text("shown")
    command = (
        f"cd {work}; mv x z; rmdir x; rm -r x/y; echo new > x/new; mv x/new x/other; ls -d x x/y"
    )
    for wishes in ({"read": [work / "x" / "y"]}, {"hidden": [work / "x" / "y"]}):
        sandbox = Sandbox(write=[work], **wishes)  # type: ignore[arg-type]
        done = run(command, sandbox)
        assert done.stdout == "x\nx/y\n"
        assert done.stderr.count("Device or resource busy") >= 2
        assert (work / "x" / "other").read_text() == "new\n"
        assert (work / "x" / "y" / "key").read_text() == "shown"
        assert (work / "x" / "other").stat().st_uid == os.geteuid()
    assert (
        "shown"
        not in run(f"cat {work}/x/y/key", Sandbox(write=[work], hidden=[work / "x/y"])).stdout
    )


def test_a_path_that_is_gone(outside: Path) -> None:
    """A hidden path that others have moved away is an error: it would be seen by another name."""
    work = outside / "work"
    sandbox = Sandbox(write=[work], hidden=[work / "x" / "y"])
    told("true", sandbox)
    (work / "x").rename(work / "z")
    with pytest.raises((FileNotFoundError, SandboxError), match="x/y"):
        run("true", sandbox)


def test_this_python_below_a_layer(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the layer shows anyway is not mounted below it, where the kernel would refuse the overlay."""
    work = outside / "work"
    for module in (view, system_files):
        monkeypatch.setattr(module, "pythons_own", lambda: ((str(work / "x"),), ()))
    done = run(f"ls {work}/x; echo made > {work}/x/made", Sandbox(write=[work], overlay=True))
    assert (done.stdout, done.returncode) == ("y\n", 0)
    assert [(change.kind, change.path) for change in done.changes if change.what == "file"] == [
        ("added", f"{work}/x/made")
    ]


def test_a_filter_that_is_written(outside: Path) -> None:
    """A file of system calls below a written path is refused: the next program might have another."""
    work = outside / "work"
    (work / "filter").write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}')
    with pytest.raises(SandboxError, match=r"filter' is below '.*work', a path of write"):
        run("true", Sandbox(write=[work], syscalls=work / "filter", require="best"))
    told("true", Sandbox(write=[work / "x"], syscalls=work / "filter"))
    told("true", Sandbox(write=[work], overlay=True, syscalls=work / "filter"))


def test_a_directory_of_modules_by_a_link_below_what_is_written(
    outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has named it, and the clone sees it as the link that it is."""
    work = outside / "work"
    (work / "modules").symlink_to("x")
    (outside / "home").symlink_to("work")
    monkeypatch.setattr(sys, "path", [*sys.path, f"{outside}/home/modules"])
    with ramet.clone(os.listdir, f"{work}/modules", sandbox=Sandbox(write=[work])) as child:
        assert child.result(SECONDS) == ["y"]


def swapping(place: Path, secret: Path) -> Callable[..., ways.Way]:
    """As way_of(), and then another has put a link in the place of that directory."""

    def way_of(path: str, known: dict[str, str | None]) -> ways.Way:
        found = ways.way_of(path, known)
        if path.startswith(str(place)):
            place.rename(place.with_name("moved"))
            place.symlink_to(secret)
        return found

    return way_of


def test_a_link_that_is_made_meanwhile(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was looked at is what is mounted: a link that was no link before is refused there."""
    work = outside / "work"
    monkeypatch.setattr(view, "way_of", swapping(work / "x", outside / "secret"))
    with pytest.raises(ramet.SpawnError, match=r"open_tree.*ELOOP"):
        run(f"cat {work}/x/y/key", Sandbox(write=[work], read=[work / "x" / "y"], hostname="alone"))


@needs_landlock(1)
def test_without_mounts(outside: Path) -> None:
    """Landlock's rules are for no link of a child's either, whether it is found, or made meanwhile."""
    work = outside / "work"

    def in_copy(meanwhile: bool) -> str:
        be_in_a_container()
        named = {"write": [work], "read": [work / "x" / "y"], "require": "best"}
        if meanwhile:
            pytest.MonkeyPatch().setattr(view, "way_of", swapping(work / "x", outside / "secret"))
        else:
            command = f"cd {work}; ls x/y >&2; mv x z; ln -s {outside}/secret x"
            run(command, Sandbox(**named))  # type: ignore[arg-type]
        try:
            return str(run(f"cat {work}/x/y/key", Sandbox(**named)).stdout)  # type: ignore[arg-type]
        except OSError as error:
            return str(error)

    for meanwhile, expected in ((True, "landlock_restrict_self"), (False, "leads through")):
        with ramet.clone(in_copy, meanwhile) as child:
            assert expected in child.result(SECONDS)
        if meanwhile:
            (work / "x").unlink()
            (work / "moved").rename(work / "x")
