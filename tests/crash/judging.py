"""Other people's tests, run against Ramet in an interpreter of their own, and what is made of that."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import unittest
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

TREE = Path(__file__).parents[2]

# For each test what became of it (passed, failed, skipped), and what it said where it did not pass.
Outcomes: TypeAlias = Mapping[str, tuple[str, str]]


# ---- in the interpreter that runs them


class Record(unittest.TestResult):
    """What became of each test; a test with several outcomes has its worst."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, tuple[str, str]] = {}

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's
        super().stopTest(test)
        self.outcomes.setdefault(_name(test), ("passed", ""))

    def addError(self, test: unittest.TestCase, err: object) -> None:  # noqa: N802
        super().addError(test, err)  # type: ignore[arg-type] # handed on
        self.outcomes[_name(test)] = ("failed", self.errors[-1][1])

    def addFailure(self, test: unittest.TestCase, err: object) -> None:  # noqa: N802
        super().addFailure(test, err)  # type: ignore[arg-type]
        self.outcomes[_name(test)] = ("failed", self.failures[-1][1])

    def addSubTest(  # noqa: N802
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: object
    ) -> None:
        super().addSubTest(test, subtest, err)  # type: ignore[arg-type]
        if err is not None:
            self.outcomes[_name(test)] = ("failed", str(err))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        self.outcomes.setdefault(_name(test), ("skipped", reason))


def _name(test: unittest.TestCase) -> str:
    """The class and the method: their module is not the same from one Python to the next."""
    return ".".join(test.id().split(".")[-2:])


def those_of(tests: unittest.TestSuite, begin: str) -> unittest.TestSuite:
    """Those of classes whose name begins so."""
    chosen = unittest.TestSuite()
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            chosen.addTest(those_of(test, begin))
        elif type(test).__name__.startswith(begin):
            chosen.addTest(test)
    return chosen


def write_report(tests: unittest.TestSuite, folder: Path) -> None:
    """Run them there; the file `report` has a JSON object of outcomes."""
    os.chdir(folder)
    record = Record()
    tests.run(record)
    (folder / "report").write_text(json.dumps(record.outcomes))


# ---- in the test that has them run


def has_module(name: str) -> bool:
    """Whether this Python came with those tests: distributions often have them in a separate package."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def judged(judge: str, folder: Path, *words: str, seconds: float = 110) -> Outcomes:
    """What that module, called with the folder and these words, reports there."""
    done = subprocess.run(
        [sys.executable, "-m", judge, str(folder), *words],
        cwd=TREE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    outcomes: Outcomes = json.loads((folder / "report").read_text())
    return outcomes


class Excepted(NamedTuple):
    """Tests with such names need not pass; by chance: they may. is_new: some releases do not have them."""

    names: re.Pattern[str]
    by_chance: bool
    is_new: bool


def exceptions(file: Path) -> list[Excepted]:
    """Those of this Python: lines `test | when | why` of that file."""
    lines = [
        line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")
    ]
    entries = [[field.strip() for field in line.split("|")] for line in lines]
    assert [entry for entry in entries if len(entry) != 3 or not (entry[0] and entry[2])] == []
    return [
        Excepted(
            re.compile(".*".join(map(re.escape, name.split("*")))),
            "chance" in when.split(),
            "new" in when.split(),
        )
        for name, when, _ in entries
        if _is_of_this_python(set(when.split()) - {"chance", "new"})
    ]


def _is_of_this_python(pythons: set[str]) -> bool:
    return not pythons or f"py{sys.version_info.major}{sys.version_info.minor}" in pythons


def compare(outcomes: Outcomes, excepted: list[Excepted], fewest_passed: int) -> None:
    """Fail unless all but those excepted pass, all those excepted are there, and none of them passes."""

    def are_any(one: str, patterns: list[re.Pattern[str]]) -> bool:
        return any(pattern.fullmatch(one) for pattern in patterns)

    may_fail = [one.names for one in excepted]
    must_fail = [one.names for one in excepted if not one.by_chance]
    failed = {name: said for name, (outcome, said) in outcomes.items() if outcome == "failed"}
    passed = [name for name, (outcome, _) in outcomes.items() if outcome == "passed"]
    unexpected = [f"{name}: {failed[name]}" for name in failed if not are_any(name, may_fail)]
    assert not unexpected, "\n".join(unexpected)  # this is no test's file: pytest shows no values
    assert len(passed) >= fewest_passed, f"only {len(passed)} passed"
    surprising = [name for name in passed if are_any(name, must_fail)]
    assert not surprising, f"passed, though excepted: {surprising}"
    must_be_there = [one.names for one in excepted if not one.is_new]
    missing = [p.pattern for p in must_be_there if not any(map(p.fullmatch, outcomes))]
    assert not missing, f"excepted, though no test has the name: {missing}"
