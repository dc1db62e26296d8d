import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ramet
from ramet.observe import memory

from ...constants import SECONDS
from ...looking import shows_kthreadd
from ...waiting import until

ROWS = re.compile(r"^(\d+) (?!more )\S+((?: +(?:\d+\.\d\d|-))+) +(\S.*?) *$", re.MULTILINE)


def run(*arguments: object, columns: int = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ramet", "memory", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "COLUMNS": str(columns),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
    )


@pytest.fixture
def copies() -> Iterator[list[int]]:
    """The pids of two copies of this process that stay."""
    wait, let_go = os.pipe()
    children = [ramet.clone(os.read, wait, 1) for _ in range(2)]
    yield [child.pid for child in children]
    os.write(let_go, b"..")
    for child in children:
        child.wait(SECONDS)
    for descriptor in (wait, let_go):
        os.close(descriptor)


def test_one_process_is_shown_with_its_mappings(copies: list[int], nothing_left: object) -> None:
    """A row for it, and a table of the mappings of which most is its own."""
    done = run(copies[0])
    assert (done.returncode, done.stderr) == (0, "")
    ((pid, sizes, origin),) = ROWS.findall(done.stdout)
    assert (int(pid), int(origin)) == (copies[0], os.getpid())
    resident, pss, shared, own, copied, new, tables = map(float, sizes.split())
    assert resident > pss > own == pytest.approx(copied + new, abs=0.02)
    assert resident > shared > 1
    assert tables > 0
    assert f"mapping of {copies[0]}" in done.stdout
    assert re.search(r"^anonymous [0-9a-f]+-[0-9a-f]+ +\d", done.stdout, re.MULTILINE)
    assert re.search(r"^\d+ more +\d", done.stdout, re.MULTILINE)


def test_several_are_a_row_each(copies: list[int]) -> None:
    """The mappings of several are shown when they are asked for."""
    done = run(*copies)
    assert [int(row[0]) for row in ROWS.findall(done.stdout)] == copies
    assert "mapping of" not in done.stdout
    both = run(*copies, "--mappings", 2).stdout
    assert all(f"mapping of {pid}" in both for pid in copies)
    assert len(re.findall(r"^\d+ more", both, re.MULTILINE)) == 2


def test_the_children_of_a_process_can_be_asked_for(copies: list[int]) -> None:
    """--children stands for the pids of all children."""
    done = run("--children", os.getpid())
    assert {int(row[0]) for row in ROWS.findall(done.stdout)} >= set(copies)
    none = run("--children", copies[0])
    assert none.returncode == 1
    assert none.stderr == f"ramet memory: process {copies[0]} has no children, or has ended\n"


def test_json_has_all_fields(copies: list[int]) -> None:
    """--json prints what to_dict() returns, in bytes, a list of one for one."""
    done = run(copies[0], "--json")
    (report,) = json.loads(done.stdout)
    (here,) = memory(copies[:1], types=False)
    assert report.keys() == here.to_dict().keys()
    assert (report["pid"], report["origin"], report["types"]) == (copies[0], os.getpid(), None)
    assert report["resident"] == sum(row["resident"] for row in report["mappings"])


def test_an_origin_can_be_named(copies: list[int]) -> None:
    """--origin compares with that process, and tells why it does not."""
    done = run(copies[0], "--origin", copies[1], "--json")
    assert json.loads(done.stdout)[0]["origin"] == copies[1]
    gone = run(copies[0], "--origin", 2**22 + 1)
    assert gone.returncode == 2
    assert "Invalid value for --origin: there is no process 4194305, or it has ended" in gone.stderr


def test_a_program_has_no_origin() -> None:
    """What is not known is a dash, and a line says why."""
    with ramet.Command(["sleep", "1000"]).spawn() as child:
        done = run(child.pid)
    ((_, sizes, origin),) = ROWS.findall(done.stdout)
    assert (sizes.split().count("-"), origin) == (3, "-")
    assert f"{child.pid}: origin not known: " in done.stdout


def test_each_that_cannot_be_looked_at_is_one_line(copies: list[int]) -> None:
    """A process that is gone, and a thread of the kernel, are an error each, and the others are shown."""
    if not shows_kthreadd():
        pytest.skip("needs to see kthreadd, which a pid namespace hides")
    done = run(2**22 + 1, copies[0], 2)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "ramet memory: there is no process 4194305, or it has ended",
        "ramet memory: invalid pid: expected a process, got 2, a thread of the kernel without memory",
    ]
    assert [int(row[0]) for row in ROWS.findall(done.stdout)] == copies[:1]


@pytest.mark.parametrize(
    "arguments", [["x"], ["0"], ["-1"], [], ["1", "--mappings", "-1"]], ids=str
)
def test_bad_input_is_one_line(arguments: list[str]) -> None:
    """What is no pid or no number is one clear error and exit status 2, never a traceback."""
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("ramet memory: ")
    assert done.stderr.count("\n") == 1


def test_a_narrow_terminal_keeps_its_numbers_whole(copies: list[int]) -> None:
    """Names are folded, numbers are not."""
    wide, narrow = (run(copies[0], "--mappings", 0, columns=width).stdout for width in (120, 80))
    assert max(map(len, narrow.splitlines())) <= 80
    assert len(re.findall(r"\d+\.\d\d", narrow)) == len(re.findall(r"\d+\.\d\d", wide)) == 7


def test_a_name_moves_no_cursor(nothing_left: object) -> None:
    """What a process calls itself is shown in one line, and no escape sequence of it takes effect."""
    read_end, write_end = os.pipe()

    def named() -> None:
        Path("/proc/self/comm").write_bytes(b"\x1b[2Jname")
        os.read(read_end, 1)

    child = ramet.clone(named)
    until(lambda: "name" in Path(f"/proc/{child.pid}/comm").read_text())
    done = run(child.pid)
    child.kill()
    child.wait(SECONDS)
    for descriptor in (read_end, write_end):
        os.close(descriptor)
    assert (done.returncode, "\x1b" in done.stdout) == (0, False)
    assert f"{child.pid} \\e[2Jname" in done.stdout
