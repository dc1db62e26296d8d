"""Run the tests of well-known packages with and without `pytest --ramet`, and compare each outcome.

    .venv/bin/python build-aux/pytest_suites.py [NAME==VERSION:SOURCES:TESTS ...]

It gets the packages with their tests from the package index, so it is in no run of the tests. It runs under
an environment that has pytest and ramet, such as .venv.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

SUITES = ("click==8.3.1:src:tests", "more-itertools==10.8.0:.:tests")
WAYS = {"plain": [], "in clones": ["--ramet"]}


class Suite(NamedTuple):
    """What to get, and where its sources and its tests lie in it."""

    requirement: str
    sources: str
    tests: str


def unpacked(requirement: str, place: Path) -> Path:
    get = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", place]
    subprocess.run([*get, "--no-binary", requirement.partition("==")[0], requirement], check=True)
    (archive,) = place.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(place, filter="data")
    (folder,) = (entry for entry in place.iterdir() if entry.is_dir())
    return folder


def outcomes(folder: Path, suite: Suite, options: list[str]) -> dict[str, str]:
    told = folder / "told.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    command += ["-W", "ignore::pytest.PytestRemovedIn10Warning"]  # which click makes an error
    command += ["-p", "ramet", f"--junitxml={told}", *options, suite.tests]
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder / suite.sources),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1) or not told.exists():
        sys.exit(
            f"{suite.requirement}: pytest ended with {done.returncode}\n{done.stdout}{done.stderr}"
        )
    cases = ET.parse(told).getroot().iter("testcase")
    return {
        f"{case.get('classname')}::{case.get('name')}": " ".join(
            sorted(child.tag for child in case if child.tag in ("failure", "error", "skipped"))
        )
        or "passed"
        for case in cases
    }


def compare(suite: Suite) -> bool:
    with tempfile.TemporaryDirectory() as place:
        folder = unpacked(suite.requirement, Path(place))
        found = {}
        for way, options in WAYS.items():
            begun = time.monotonic()
            found[way] = outcomes(folder, suite, options)
            counts = {
                outcome: list(found[way].values()).count(outcome)
                for outcome in sorted(set(found[way].values()))
            }
            print(f"{suite.requirement}, {way}: {counts}, {time.monotonic() - begun:.1f} s")
    plain, cloned = found.values()
    differing = [
        name for name in plain.keys() | cloned.keys() if plain.get(name) != cloned.get(name)
    ]
    for name in sorted(differing):
        print(f"  {name}: {plain.get(name)} plain, {cloned.get(name)} in clones")
    return not differing


def main() -> None:
    suites = [Suite(*words.split(":")) for words in sys.argv[1:] or SUITES]
    results = list(map(compare, suites))  # of each, also when one before differs
    if not all(results):
        sys.exit("not the same")


if __name__ == "__main__":
    main()
