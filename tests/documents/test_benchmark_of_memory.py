import re
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
PAGE = (TREE / "docs" / "explanation" / "memory_that_stays_shared.md").read_text()


def test_the_figures_of_shared_memory_can_be_made_again() -> None:
    """The script prints its lines, and that the same call copies much less with the measure."""
    pytest.importorskip("numpy")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.shared_memory", "--megabytes", "20", "--only", "colle"],
        cwd=TREE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = re.findall(r"^\| (a collection) \| (.*?) \| ([\d.]+) \|", done.stdout, re.MULTILINE)
    (without, with_) = (float(copied) for _, _, copied in rows)
    assert with_ < without / 3
    assert all(what in PAGE for what, _, _ in rows)
