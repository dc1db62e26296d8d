import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

OUTPUT = {
    "all_cores": "[150000, 150000]\n[0, 1, 4, 9, 16, 25] True\n",
    "a_test_suite_that_leaks": "in one process:\n"
    "  PASSED test_adds_a_user\n"
    "  FAILED test_begins_with_no_user - AssertionError: assert ['me'] == []\n"
    "in clones:\n"
    "  PASSED test_adds_a_user\n"
    "  PASSED test_begins_with_no_user\n"
    "  PASSED test_leaves_a_server\n"
    "  ERROR test_leaves_a_server - Failed: left running at the test's end, "
    "and killed: sleep (sleep 1000)\n"
    "  FAILED test_hangs - Failed: killed at its deadline of 3 s in its call\n"
    "  FAILED test_crashes - Failed: killed by SIGABRT in its call\n",
    "a_grid_search": "{'C': 10, 'gamma': 0.1} 0.97\nkilled at its deadline in fit()\n",
    "tasks_on_a_cluster": "square: 49\ncrash: killed by SIGSEGV\nhang: killed by SIGKILL (deadline)\n"
    "square: 64\nthe workers are the same\n",
    "two_servers_on_one_port": "the host's and the child's on one port\n",
    "a_directory_for_each_worker": "100 workers, 100 directories; mine is still True\n",
    "a_plugin_that_crashes": "good: 2 lines\nbad: killed by SIGSEGV\ngood: 4 lines\n"
    "the host goes on with 4 lines\n",
    "a_deadline_for_a_regex": "True\nNone\n",
    "a_web_service_of_patterns": "(\\w+)@(\\w+) {'groups': ['me', 'home']}\n"
    "(a|a)*b {'error': 'it takes too long'}\n"
    "([a-z]+ {'error': 'missing ), unterminated subpattern at position 0'}\n",
    "a_scorer_of_programs": "2 dies\n4 hangs\n2 scores 0.2\n4 scores 1.0\n",
    "a_parser_of_untrusted_bytes": "{'a': [1, 2]} True\nRecursionError\n",
}


def test_every_example_is_run() -> None:
    """Each program of the gallery has its row here."""
    assert {file.stem for file in EXAMPLES.glob("[!_]*.py")} == OUTPUT.keys()


@pytest.mark.parametrize("name", OUTPUT)
def test_an_example_does_what_it_says(name: str, tmp_path: Path) -> None:
    """The program ends well, says what it is to say, and complains of nothing."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        env={**os.environ, "DASK_TEMPORARY_DIRECTORY": str(tmp_path)},  # which it leaves
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == (OUTPUT[name], "", 0)
