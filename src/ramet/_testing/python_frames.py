"""The stacks that faulthandler writes, without the frames that each test's stack has in common."""

from pathlib import Path

import _pytest
import pluggy

from .._limits.python_stack import without_callers

_OURS = str(Path(__file__).parent)
_MACHINERY = tuple(str(Path(str(package.__file__)).parent) for package in (_pytest, pluggy))


def without_machinery(stacks: str) -> str:
    """Each thread's frames, down to the test or fixture that pytest called."""
    return without_callers(stacks, _OURS, *_MACHINERY)
