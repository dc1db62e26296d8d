import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from ramet import CloneFlag as F
from ramet import Command

Told: TypeAlias = Callable[..., str]

# A root in which programs run: where /bin is a part of /usr, a loader and a shell are at hand.
USR = Path("/usr")
has_usr_root = pytest.mark.skipif(
    not Path("/bin").is_symlink(), reason="needs a system whose /bin is /usr/bin"
)


def place(path: Path | str) -> str:
    found = os.stat(path)
    return f"{found.st_dev} {found.st_ino}"


def test_cwd(told: Told, tmp_path: Path, nothing_left: object) -> None:
    """The program begins in its own directory, and the caller stays where it is."""
    before = os.getcwd()
    assert told(["pwd", "-P"], cwd=tmp_path) == str(tmp_path.resolve())
    assert told(["pwd", "-P"], cwd=os.fsencode(tmp_path)) == str(tmp_path.resolve())
    assert os.getcwd() == before


def test_a_program_with_a_slash_is_looked_for_from_its_cwd(
    told: Told, tmp_path: Path, nothing_left: object
) -> None:
    """As with subprocess, a relative path of the program is meant from cwd."""
    (tmp_path / "said").symlink_to("/bin/echo")
    assert told(["./said", "here"], cwd=tmp_path) == "here"


@has_usr_root
@pytest.mark.parametrize("cwd", [None, "/bin", "bin"])
def test_root(told: Told, cwd: str | None, nothing_left: object) -> None:
    """The child's root is another, and its cwd is within it, however it is said."""
    ids = ["sh", "-c", "stat -c '%d %i' / ."]
    seen = told(ids, root=USR, cwd=cwd, flags=F.NEWUSER).splitlines()
    assert seen == [place(USR), place(USR / "bin" if cwd else USR)]


@has_usr_root
def test_a_relative_cwd_does_not_lead_out_of_the_root(
    told: Told, tmp_path: Path, nothing_left: object
) -> None:
    """A cwd without a slash is not taken from the caller's cwd, which is outside."""
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        seen = told(["sh", "-c", "stat -c '%d %i' ."], root=USR, cwd=".", flags=F.NEWUSER)
    finally:
        os.chdir(before)
    assert seen == place(USR)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_umask(told: Told, umask: int, nothing_left: object) -> None:
    """The program has its own umask; the caller's is as before."""
    before = os.umask(0o022)
    os.umask(before)
    assert int(told(["sh", "-c", "umask"], umask=umask), 8) == umask
    after = os.umask(before)
    assert after == before


def test_env(told: Told, nothing_left: object) -> None:
    """The environment is the one that was said, in str or bytes, and nothing else."""
    assert told(["/usr/bin/env"], env={"A": "1", "B": "two words"}) == "A=1\nB=two words"
    assert told(["/usr/bin/env"], env={b"A": b"\xc3\xa4"}) == "A=ä"
    assert told(["/usr/bin/env"], env={}) == ""


def test_the_environment_is_the_callers_by_default(
    told: Told, monkeypatch: pytest.MonkeyPatch, nothing_left: object
) -> None:
    """Without env the program sees what the caller has set."""
    monkeypatch.setenv("RAMET_TEST", "seen")
    assert told(["sh", "-c", "echo $RAMET_TEST"]) == "seen"


def test_a_command_keeps_the_environment_it_was_made_with(
    monkeypatch: pytest.MonkeyPatch, nothing_left: object
) -> None:
    """A later change of the environment does not reach a command that is there already."""
    monkeypatch.setenv("RAMET_TEST", "0")
    command = Command(["sh", "-c", "exit $RAMET_TEST"])
    monkeypatch.setenv("RAMET_TEST", "5")
    assert command.spawn().wait(60).code == 0
    assert Command(["sh", "-c", "exit $RAMET_TEST"]).spawn().wait(60).code == 5


def test_arg0_and_executable(told: Told, nothing_left: object) -> None:
    """The file that runs and the name that it is told are two things."""
    script = ["x", "-c", "echo $0"]
    assert told(script, executable="/bin/sh") == "x"
    assert told(["sh", "-c", "echo $0"], arg0="-login") == "-login"
    assert told(["x", "-c", "echo $0"], executable="sh", arg0="y") == "y"


def test_the_program_is_looked_for_along_the_path(
    told: Told, tmp_path: Path, nothing_left: object
) -> None:
    """PATH of env counts when it is given, in its order; what cannot be executed is passed over."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (first / "said").write_text("#!/bin/sh\necho first\n")
    (second / "said").write_text("#!/bin/sh\necho second\n")
    (second / "said").chmod(0o755)
    path = f"{tmp_path}/none:{first}:{second}"
    assert told(["said"], env={"PATH": path}) == "second"
    (first / "said").chmod(0o755)
    assert told(["said"], env={"PATH": path}) == "first"
