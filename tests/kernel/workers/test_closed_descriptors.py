"""Callers whose standard descriptors are closed, as those of some supervisors are."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ...constants import PATIENT_SECONDS
from ..sandbox.taken_away import needs_all

pytestmark = pytest.mark.usefixtures("nothing_left")

BEGINNING = """
import json, os, sys
import ramet

said = open(sys.argv[1], "w")

def prints():
    print("printed", flush=True)
    print("told", file=sys.stderr, flush=True)
    return [os.path.realpath(f"/proc/self/fd/{number}") for number in (1, 2)]

def files(template):
    with template.clone(prints) as child:
        return child.result()

def captured(**options):
    with ramet.Executor(1, capture_output=True, **options) as executor:
        futures = [executor.submit(prints) for _ in range(2)]
        for future in futures:
            future.result()
        return [future.stdout + future.stderr for future in futures]

found = {}
"""
OF_FRESH = """
with ramet.Template(spares=0) as template, ramet.Template() as other, other.derive() as derived:
    found["clone"] = files(template)
    found["spare"] = files(other)
    found["derived"] = files(derived)
"""
OF_CAPTURES = """
found["fresh"] = captured()
found["reused"] = captured(reuse=2)
with ramet.Template.from_here() as template:
    found["copied"] = captured(template=template)
"""
OF_COPIES = """
with ramet.Template.from_here() as template:
    found["copied"] = files(template)
"""
OF_CONFINED = """
with ramet.Template(sandbox=ramet.Sandbox()) as template:
    found["files"] = files(template)
    found["captured"] = captured(template=template)
"""
END = """
json.dump(found, said)
"""
CLOSED = {"output": ">&-", "outputs": ">&- 2>&-", "input too": "<&- >&-", "all": "<&- >&- 2>&-"}
NOTHING = "/dev/null"
PRINTED = ["printed\ntold\n"] * 2

closed_in_each_way = pytest.mark.parametrize("closed", CLOSED)


def found_by(program: str, closed: str, place: Path) -> Any:
    """What a caller finds whose descriptors the shell has closed."""
    shell = f'exec "$0" -c "$1" "$2" {closed}'
    argv = ["sh", "-c", shell, sys.executable, BEGINNING + program + END, str(place)]
    done = subprocess.run(argv, stderr=subprocess.PIPE, timeout=PATIENT_SECONDS, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(place.read_text())


def of_two(closed: str, files: list[str]) -> list[str]:
    """Those that are not the caller's own."""
    return files if "2>&-" in CLOSED[closed] else files[:1]


@closed_in_each_way
def test_a_call_has_the_null_device_where_its_caller_has_nothing(
    closed: str, tmp_path: Path
) -> None:
    """What it prints is lost, as the caller's own is."""
    found = found_by(OF_FRESH, CLOSED[closed], tmp_path / "said")
    for name, files in found.items():
        assert set(of_two(closed, files)) == {NOTHING}, name


@closed_in_each_way
def test_a_copy_has_no_socket_there(closed: str, tmp_path: Path) -> None:
    """But the caller's files, and the null device where there is none."""
    place = tmp_path / "said"
    found = found_by(OF_COPIES, CLOSED[closed], place)
    assert set(of_two(closed, found["copied"])) <= {NOTHING, str(place)}


@closed_in_each_way
def test_output_is_captured_where_the_caller_has_none(closed: str, tmp_path: Path) -> None:
    """Of each call, in a process of its own or in one for several."""
    found = found_by(OF_CAPTURES, CLOSED[closed], tmp_path / "said")
    assert found == {"fresh": PRINTED, "reused": PRINTED, "copied": PRINTED}


@needs_all
@closed_in_each_way
def test_confined_calls_are_as_any_others(closed: str, tmp_path: Path) -> None:
    """What they print is lost, or captured."""
    found = found_by(OF_CONFINED, CLOSED[closed], tmp_path / "said")
    assert of_two(closed, found["files"])[0] == NOTHING
    assert found["captured"] == PRINTED


def test_a_caller_may_close_them_later(tmp_path: Path) -> None:
    """Its calls have the null device then, whatever file of its own takes the number."""
    program = """
with ramet.Template() as template:
    os.close(1)
    other = open(sys.argv[1] + ".other", "w")
    assert other.fileno() == 1
    found = files(template), files(template)
    sys.stdout = None  # which Python would flush
"""
    found = found_by(program, "", tmp_path / "said")
    assert [files[0] for files in found] == [NOTHING, NOTHING]
    assert not (tmp_path / "said.other").read_text()
