"""A test suite that leaks: each test in a clone of the session, so that none is hit by another."""

import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SUITE = """
import os, subprocess, time

users = []

def test_adds_a_user():
    users.append("me")
    os.environ["LANG"] = "C"
    os.chdir("/")

def test_begins_with_no_user():
    assert users == []

def test_leaves_a_server():
    subprocess.Popen(["sleep", "1000"])

def test_hangs():
    time.sleep(1000)

def test_crashes():
    os.abort()
"""


def run(place: str, *options: str) -> list[str]:
    """Run pytest there; what it says of each test."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *options],
        cwd=place,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = re.findall(r"^(?:PASSED|FAILED|ERROR) .*", done.stdout, re.MULTILINE)
    return [re.sub(r"killed: \d+", "killed:", line.replace("test_it.py::", "")) for line in lines]


def main() -> None:
    """Run the harmless ones in one process, and then all in clones."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as place:
        Path(place, "test_it.py").write_text(SUITE)
        print("in one process:", *run(place, "-k", "user"), sep="\n  ")
        print("in clones:", *run(place, "--ramet", "--ramet-timeout=3"), sep="\n  ")


if __name__ == "__main__":
    main()
