import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
JUDGE = HERE / "subprocess_judge.py"
EXCEPTIONS = HERE / "subprocess_exceptions.txt"
SECONDS = 110

# Fewer would mean that they were not found, whatever their outcome.
FEWEST_TESTS = 250
FEWEST_OF_ASYNCIO = 25


def has_suite() -> bool:
    """Whether this Python came with its tests: distributions often have them in a separate package."""
    try:
        return importlib.util.find_spec("test.test_subprocess") is not None
    except ModuleNotFoundError:
        return False


def exceptions() -> list[re.Pattern[str]]:
    lines = [
        line
        for line in EXCEPTIONS.read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    entries = [[field.strip() for field in line.split("|")] for line in lines]
    assert [entry for entry in entries if len(entry) != 3 or not (entry[0] and entry[2])] == []
    here = f"py{sys.version_info.major}{sys.version_info.minor}"
    return [
        re.compile(".*".join(re.escape(part) for part in name.split("*")))
        for name, when, _ in entries
        if not when or here in when.split()
    ]


def judged(folder: Path, whose: str) -> dict[str, tuple[str, str]]:
    """The outcome of each test, and what it said."""
    done = subprocess.run(
        [sys.executable, JUDGE, folder, whose],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    outcomes: dict[str, tuple[str, str]] = json.loads((folder / "report").read_text())
    return outcomes


@pytest.mark.skipif(not has_suite(), reason="this Python has no test.test_subprocess")
def test_the_interpreters_own_tests_of_subprocess(tmp_path: Path) -> None:
    """What CPython demands of subprocess holds for Ramet, but for the exceptions, which all fail."""
    outcomes = judged(tmp_path, "subprocess")
    patterns = exceptions()

    def is_excepted(name: str) -> bool:
        return any(pattern.fullmatch(name) for pattern in patterns)

    failed = {name: said for name, (outcome, said) in outcomes.items() if outcome == "failed"}
    passed = [name for name, (outcome, _) in outcomes.items() if outcome == "passed"]
    assert len(passed) >= FEWEST_TESTS
    assert "\n".join(said for name, said in failed.items() if not is_excepted(name)) == ""
    assert [name for name in passed if is_excepted(name)] == []
    unknown = [p.pattern for p in patterns if not any(p.fullmatch(name) for name in outcomes)]
    assert unknown == []


@pytest.mark.skipif(not has_suite(), reason="this Python has no test.test_subprocess")
def test_the_interpreters_own_tests_of_asyncios_programs(tmp_path: Path) -> None:
    """What CPython demands of a program under asyncio holds where subprocess is Ramet's."""
    outcomes = judged(tmp_path, "asyncio")
    assert "\n".join(said for outcome, said in outcomes.values() if outcome == "failed") == ""
    assert len([name for name, (outcome, _) in outcomes.items() if outcome == "passed"]) >= (
        FEWEST_OF_ASYNCIO
    )
