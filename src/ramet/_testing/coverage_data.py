"""What coverage.py has measured in a clone, kept for pytest-cov to combine."""

import sys
from typing import Any


def save_coverage() -> None:
    """Write it to a file of this process's own, next to the session's, if coverage is being measured.

    pytest-cov gives each process such a file (data_suffix=True) and combines all of them in the end; so do
    ``coverage run --parallel-mode`` and ``coverage combine``.
    """
    coverage: Any = sys.modules.get("coverage")
    measuring = None if coverage is None else coverage.Coverage.current()
    if measuring is not None:
        measuring.stop()
        measuring.save()
