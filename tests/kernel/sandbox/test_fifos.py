"""A fifo that a confined program has made, where the caller looks for a file: it is not waited for."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ramet
from ramet import Sandbox, SandboxError
from ramet._kernel import names as names_of_kernel
from ramet._sandbox.planning import path_wishes

from ...constants import SECONDS
from .suites import directory, run, told
from .taken_away import needs_all

pytestmark = needs_all


@pytest.fixture
def work() -> Iterator[Path]:
    """A directory with a fifo, which is executable."""
    with directory() as path:
        path.chmod(0o777)
        told(f"mkfifo -m 755 {path}/tool", Sandbox(write=[path]))
        yield path


def refused(call: Callable[[], object]) -> str:
    """The error of a call; in a copy of this process, which a fifo would keep."""

    def in_copy() -> str:
        try:
            return f"returned {call()}"
        except OSError as error:
            return f"{type(error).__name__} {error}"

    with ramet.clone(in_copy) as child:
        return child.result(SECONDS)


def test_where_a_program_is_started(work: Path) -> None:
    """By its path or in its directory, and by the command: it is an error at once."""
    sandbox = Sandbox(write=[work], timeout=SECONDS)
    assert "may not be executed" in refused(lambda: run([f"{work}/tool"], sandbox))
    assert "may not be executed" in refused(lambda: run(["./tool"], sandbox, cwd=work))
    argv = [sys.executable, "-m", "ramet", "sandbox", "--write", str(work), "--", f"{work}/tool"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert "may not be executed" in done.stderr


def test_where_a_script_was(work: Path) -> None:
    """The first line of a script is still read, also by a link, and tells what the program does not see."""
    (work / "tool").unlink()
    (work / "script").write_text("#!/nonexistent/sh\n")
    (work / "script").chmod(0o755)
    (work / "tool").symlink_to("script")
    told_of = refused(lambda: run([f"{work}/tool"], Sandbox(write=[work])))
    assert "the interpreter of its first line, '/nonexistent/sh', does not exist" in told_of


def test_where_a_filter_or_a_network_is(work: Path) -> None:
    """Neither is a fifo, also where it became one after it was looked at."""
    told_of = refused(lambda: run("true", Sandbox(syscalls=work / "tool")))
    assert "which is a named pipe" in told_of
    assert "network" in refused(lambda: run("true", Sandbox(network=work / "tool")))


def test_a_directory_with_many_names(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only some are compared with one that is gone: a program may have made a million."""
    compared: list[int] = []
    monkeypatch.setattr(path_wishes, "_MOST_NAMES", 3)

    def counting(word: str, names: list[str], **options: float) -> str | None:
        compared.append(len(names))
        return names_of_kernel.nearest(word, names, **options)

    monkeypatch.setattr(path_wishes, "nearest", counting)
    for number in range(9):
        (work / str(number)).touch()
    with pytest.raises(SandboxError, match="does not exist"):
        run("true", Sandbox(write=[work], read=[work / "gone"]))
    assert compared == [3]
    assert len(os.listdir(work)) == 10
