"""ramet sandbox: programs in one."""

import signal
from pathlib import Path

from ..sandbox.taken_away import needs_all
from .test_sandbox import ramet

pytestmark = needs_all


def test_a_program_sees_what_is_given(tmp_path: Path) -> None:
    """What is to be read can be read, what is to be written is the caller's, and all else is not there."""
    seen, written = tmp_path / "seen", tmp_path / "written"
    seen.write_text("it is seen\n")
    written.mkdir()
    hidden = tmp_path / "hidden"
    hidden.touch()
    code = f"cat {seen}; echo new > {written}/file; test ! -e {hidden} && echo nothing else"
    done = ramet("--tmp", "none", "--read", seen, "--write", written, "--", "sh", "-c", code)
    assert (done.stdout, done.stderr, done.returncode) == ("it is seen\nnothing else\n", "", 0)
    file = written / "file"
    assert (file.read_text(), file.stat().st_uid) == ("new\n", tmp_path.stat().st_uid)


def test_its_end_is_told() -> None:
    """Its exit status, 128+N for a signal, 124 at its deadline, and 126 and 127 for what is no program."""
    assert ramet("--", "sh", "-c", "exit 7").returncode == 7
    assert ramet("--", "sh", "-c", "kill -9 $$").returncode == 128 + signal.SIGKILL
    done = ramet("--timeout", "0.2", "--", "sleep", "60")
    assert (done.returncode, done.stderr) == (124, "ramet sandbox: ended: deadline\n")
    assert ramet("--", "/nonexistent").returncode == 127
    assert ramet("--", "/etc/passwd").returncode == 126


def test_what_is_lost_is_told() -> None:
    """With --best what this machine cannot do is left out, and named; without it nothing is run."""
    words = ["--network", "/proc/self/ns/uts", "--", "echo", "ran"]
    done = ramet("--best", *words)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr.startswith("ramet sandbox: lost: network: ")
    assert len(done.stderr.splitlines()) == 1
    done = ramet(*words)
    assert (done.returncode, done.stdout) == (125, "")


def test_a_path_that_is_none_runs_nothing(tmp_path: Path) -> None:
    """One line, with the wish and the path."""
    done = ramet("--read", tmp_path / "missing", "--", "true")
    assert done.returncode == 125
    assert done.stderr.startswith("ramet sandbox: ENOENT: read: ")
