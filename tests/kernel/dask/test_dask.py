"""Tasks of dask in processes of their own, on a real cluster with worker processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ...constants import PATIENT_SECONDS
from ...waiting import until

# Processes of the cluster have this in their environment.
MARK = f"RAMET_TEST_CLUSTER={os.getpid()}"


def _left() -> list[str]:
    found = []
    for file in Path("/proc").glob("[1-9]*/environ"):
        try:
            marked = MARK.encode() in file.read_bytes().split(b"\0")
        except OSError:  # it has ended, or is another user's
            continue
        if marked:
            found.append(file.parent.name)
    return found


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script has seen."""
    name, _, value = MARK.partition("=")
    place = tmp_path_factory.mktemp("cluster")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("on_a_cluster.py"), place],
        stdout=subprocess.PIPE,
        cwd=place,
        env={**os.environ, name: value, "DASK_TEMPORARY_DIRECTORY": str(place)},
        timeout=PATIENT_SECONDS,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_crash_costs_the_task_alone(observed: dict[str, Any]) -> None:
    """Its future has a ChildDied that names the signal; the workers are the same at the end."""
    kind, words = observed["crash"]
    assert kind == "ChildDied"
    assert "SIGABRT" in words
    assert observed["workers at the end"] == observed["workers"]


def test_a_task_that_hangs_ends_at_its_deadline(observed: dict[str, Any]) -> None:
    """The exception has the line of Python where it stood."""
    kind, words = observed["hang"]
    assert kind == "DeadlineExceeded"
    assert "in hang" in words


def test_a_task_that_eats_memory_is_ended(observed: dict[str, Any]) -> None:
    """It has a MemoryError, or was killed for want of memory."""
    kind, words = observed["memory"]
    assert kind == "MemoryError" or "out of memory" in words


def test_exceptions_of_tasks_are_as_ever(observed: dict[str, Any]) -> None:
    """The type and the text are the function's."""
    assert observed["raises"][0] == "ZeroDivisionError"


def test_an_executor_that_no_plugin_made_is_named(observed: dict[str, Any]) -> None:
    """Dask's own error lists ours."""
    assert "'ramet'" in observed["nobody"][1]


def test_a_task_that_died_can_be_retried(observed: dict[str, Any]) -> None:
    """``retries`` counts deaths, too."""
    assert observed["retried"] == "done"


def test_results_come_back(observed: dict[str, Any]) -> None:
    """Closures and large arguments reach the task, and graphs may be annotated."""
    assert (observed["closure"], observed["large"], observed["graph"]) == (12, 10_000_000, 30)


def test_each_task_has_a_process_of_its_own(observed: dict[str, Any]) -> None:
    """No two have the same, and none is a worker."""
    pids = observed["pids"]
    assert len({*pids, *observed["workers"]}) == len(pids) + 2


def test_a_cancelled_task_is_killed(observed: dict[str, Any]) -> None:
    """The only thread of its worker runs the next task."""
    assert observed["after a cancellation"] == [0, 1, 2, 3]


def test_a_wrong_option_is_told_where_it_is_registered(observed: dict[str, Any]) -> None:
    """The error names it; a template and a sandbox are refused before."""
    assert "each worker makes its own" in observed["template"]
    assert "a call in a sandbox sends data alone" in observed["sandbox"]
    assert "there is no option 'color'" in observed["wrong"]


def test_nothing_is_left_of_a_cluster(observed: dict[str, Any]) -> None:
    """Templates and spares end with their workers."""
    until(lambda: not _left())
