import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ramet.cli.group import ramet as command
from ramet.tour import run
from ramet.tour.programs import program_of
from ramet.tour.row import parse_release

IDS = [row.id for row in run.all_rows()]
IS_OLD = parse_release(os.uname().release) < (7, 1)
NEW = {"AUTOREAP", "NNP", "PIDFD_AUTOKILL", "EMPTY_MNTNS"} if IS_OLD else set()
# What is said behind a statement that prints, up to a colon and an explanation.
EXPECTED = re.compile(r"^ *print\(.*\)  # (?P<printed>.+)$", re.MULTILINE)
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def expected(program: str) -> list[re.Pattern[str]]:
    """A pattern for each line that the program says it prints."""
    return [_pattern(found["printed"]) for found in EXPECTED.finditer(program)]


def _pattern(printed: str) -> re.Pattern[str]:
    """The line, of which `...` may be anything; or what stands before a colon that begins a remark."""
    texts = printed, printed.partition(": ")[0]
    return re.compile("|".join(".*".join(map(re.escape, text.split("..."))) for text in texts))


def ran(argv: list[str], text: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *argv],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=ENVIRONMENT,
    )


def needs_a_cgroup(row_id: str, done: "subprocess.CompletedProcess[str]") -> bool:
    return row_id == "INTO_CGROUP" and "NotPermitted" in done.stderr


@pytest.mark.parametrize("row_id", IDS)
def test_a_program_prints_what_it_says(row_id: str, tmp_path: Path, nothing_left: object) -> None:
    """As a file it ends well, and prints the lines that stand behind its statements, and no others."""
    program = program_of(row_id)
    file = tmp_path / "program.py"
    file.write_text(program)
    done = ran(["-X", "dev", "-W", "error", str(file)], "")
    if row_id in NEW:
        assert "CloneError: EINVAL: rule B1" in done.stderr
        assert "came with 7.1" in done.stderr
        return
    if needs_a_cgroup(row_id, done):
        pytest.skip("needs a cgroup v2 hierarchy in which a directory can be made")
    assert (done.returncode, done.stderr) == (0, "")
    patterns, lines = expected(program), done.stdout.splitlines()
    assert patterns
    assert len(lines) == len(patterns)
    for pattern, line in zip(patterns, lines, strict=True):
        assert pattern.fullmatch(line), (pattern.pattern, line)


@pytest.mark.parametrize("row_id", [row_id for row_id in IDS if row_id not in NEW])
def test_a_program_runs_when_it_is_pasted(row_id: str) -> None:
    """At a prompt, line by line: the same is printed, in the same order, and no error."""
    program = program_of(row_id)
    done = ran(["-i", "-q"], program)
    if needs_a_cgroup(row_id, done):
        pytest.skip("needs a cgroup v2 hierarchy in which a directory can be made")
    assert "Error" not in done.stderr, done.stderr
    lines = iter(done.stdout.splitlines())
    for pattern in expected(program):
        assert any(pattern.fullmatch(line) for line in lines), (pattern.pattern, done.stdout)


def test_the_command_prints_programs() -> None:
    """`ramet tour --code` prints those of the rows that are named, and runs nothing."""
    told = CliRunner().invoke(command, ["tour", "--code", "vm"])
    assert (told.exit_code, told.stdout) == (0, program_of("VM"))
    assert "ramet.clone(words.append" in told.stdout
    both = CliRunner().invoke(command, ["tour", "--code", "VM,tls"])
    assert both.stdout == f"{program_of('P9')}\n\n{program_of('VM')}"
    for arguments in (["--code", "VMM"], ["--code", "VM", "--json"]):
        refused = CliRunner().invoke(command, ["tour", *arguments])
        assert refused.exit_code == 2
        assert refused.stdout == ""


def test_what_the_command_prints_can_be_piped_into_python() -> None:
    """`ramet tour --code VM | python`."""
    told = ran(["-m", "ramet", "tour", "--code", "VM"], "")
    assert ran(["-"], told.stdout).stdout == "['one']\n['one', 'two']\n"
