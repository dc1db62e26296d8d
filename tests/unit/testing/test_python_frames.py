from pathlib import Path

import _pytest
import pluggy
import pytest

from ramet import _testing
from ramet._testing.python_frames import without_machinery

PYTEST, PLUGGY, OURS = (
    f'  File "{Path(str(package.__file__)).parent}/a.py", line 1 in called'
    for package in (_pytest, pluggy, _testing)
)
TEST = '  File "/home/me/test_it.py", line 7 in test_it'
LIBRARY = '  File "/usr/lib/python3/library.py", line 8 in f'
HEAD = "Current thread 0x1 (most recent call first):"


@pytest.mark.parametrize(
    ("frames", "kept"),
    [
        ([TEST, PYTEST, PLUGGY, PYTEST, OURS, PYTEST, LIBRARY], [TEST]),
        ([LIBRARY, TEST, PYTEST, OURS], [LIBRARY, TEST]),
        ([LIBRARY, PYTEST, TEST, PLUGGY, OURS], [LIBRARY, PYTEST, TEST]),
        ([TEST, PYTEST], [TEST, PYTEST]),
        ([PYTEST, OURS], []),
        ([], []),
    ],
    ids=["test", "library", "pytest within", "no clone", "machinery alone", "nothing"],
)
def test_the_machinery_is_cut_off(frames: list[str], kept: list[str]) -> None:
    """Frames of pytest and of the plugin are left out where they only call the test."""
    assert without_machinery("\n".join([HEAD, *frames, ""])) == "\n".join([HEAD, *kept])


def test_each_thread_is_shortened() -> None:
    """So it is in the stack of each thread, and other words stay."""
    other = f"Thread 0x2 (most recent call first):\n{LIBRARY}"
    current = f"{HEAD}\n{TEST}\n{PYTEST}\n{OURS}"
    told = f"Fatal Python error: Aborted\n\n{other}\n\n{current}"
    assert without_machinery(told) == told.removesuffix(f"\n{PYTEST}\n{OURS}")
