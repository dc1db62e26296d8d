"""Commands whose standard output or error is closed, or whose working directory is gone."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ...constants import PATIENT_SECONDS
from ..sandbox.taken_away import needs_all

RAMET = f"{shlex.quote(sys.executable)} -m ramet"
CLOSED = [">&-", "2>&-", "<&- >&- 2>&-"]


def ended(words: str, closed: str) -> tuple[int, str, str]:
    """The exit status, and what was written to what is not closed."""
    return in_shell(f"{RAMET} {words} {closed}")


def in_shell(text: str) -> tuple[int, str, str]:
    """The same for a whole command line."""
    argv = ["sh", "-c", text]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=PATIENT_SECONDS, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("explain fork", 0),
        ("tour tls", 0),
        ("tree $$", 0),
        ("memory $$", 0),
        ("law rules D3", 0),
        ("run sh -c 'exit 3'", 3),
        ("trace --quiet sh -c 'exit 3'", 3),
        pytest.param("sandbox sh -c 'exit 3'", 3, marks=needs_all),
        pytest.param("sandbox --report sh -c 'exit 3'", 3, marks=needs_all),
        pytest.param("sandbox --output 1M sh -c 'exit 3'", 3, marks=needs_all),
    ],
)
def test_a_command_does_what_it_does_otherwise(words: str, code: int, closed: str) -> None:
    """What it would have written is lost, and nothing else."""
    found, _, errors = ended(words, closed)
    assert (found, "Traceback" in errors) == (code, False)


@pytest.mark.parametrize("words", ["run ./nosuch", "sandbox --nosuch", "explain --nosuch"])
def test_an_error_is_not_written_to_the_output(words: str) -> None:
    """Where standard error is closed: the output is read by another program."""
    code, output, _ = ended(words, "2>&-")
    assert (code != 0, output) == (True, "")


def test_a_report_asked_for_on_a_closed_output_is_refused() -> None:
    """And no program is run."""
    code, _, errors = ended("trace --json - true", ">&-")
    assert (code, errors) == (125, "ramet trace: the standard output is closed\n")


@pytest.mark.parametrize(("closed", "number"), [(">&-", 1), ("2>&-", 2), ("<&- >&- 2>&-", 1)])
def test_the_program_has_them_closed_as_well(closed: str, number: int) -> None:
    """It gets nothing in their place."""
    assert ended(f"run sh -c 'test ! -e /proc/$$/fd/{number}'", closed)[0] == 0


@needs_all
def test_output_that_is_counted_goes_to_the_one_that_is_open() -> None:
    """A limit needs pipes, which have the numbers of no closed one."""
    program = "sandbox --output 1M sh -c 'echo out; echo err >&2; exit 3'"
    code, _, errors = ended(program, ">&-")
    assert (code, errors.endswith("err\n")) == (3, True)
    assert ended(program, "2>&-") == (3, "out\n", "")


@needs_all
def test_a_sandbox_in_a_removed_directory(tmp_path: Path) -> None:
    """It begins in another, as it does where the directory is not seen."""
    gone = f"cd {tmp_path} && mkdir gone && cd gone && rmdir ../gone && "
    assert in_shell(f"{gone} {RAMET} sandbox sh -c 'pwd; exit 3' file") == (3, "/tmp\n", "")
