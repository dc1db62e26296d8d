"""A child has what the thread has that makes it, and not what another one had before."""

import subprocess
import sys
from pathlib import Path

import pytest

from .of_this_thread import CODE

SECONDS = 100

WAYS = pytest.mark.parametrize(
    "way",
    [
        "run",
        "die_with_parent",
        "oom_score_adj",
        "start",
        "asyncio",
        "asyncio die_with_parent",
        "asyncio oom_score_adj",
        "trio",
        "copy",
        "VM",
        "in_namespace",
    ],
)
THREADS = pytest.mark.parametrize("thread", ["main", "other"])


def look(way: str, thread: str, request: pytest.FixtureRequest, *cgroup: str) -> None:
    if way == "in_namespace":
        request.getfixturevalue("root")
    argv = [sys.executable, "-c", CODE, way, thread, *cgroup]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@THREADS
@WAYS
def test_a_child_is_as_the_thread_that_makes_it(
    way: str, thread: str, request: pytest.FixtureRequest
) -> None:
    """What the calling thread has changed its next child has, whatever the way to the child."""
    look(way, thread, request)


@THREADS
@WAYS
def test_a_child_is_in_the_cgroup_of_who_makes_it(
    way: str, thread: str, request: pytest.FixtureRequest, cgroup: Path
) -> None:
    """Where the process has moved after a first clone call its next child is made, whatever the way."""
    look(way, thread, request, str(cgroup))
