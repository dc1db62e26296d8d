"""The stacks that faulthandler writes, without the frames that each test's stack has in common."""

import re
from pathlib import Path

import _pytest
import pluggy

_FILE = re.compile(r'  File "([^"]*)"')
_OURS = str(Path(__file__).parent)
_MACHINERY = tuple(str(Path(str(package.__file__)).parent) for package in (_pytest, pluggy))


def without_machinery(stacks: str) -> str:
    """Each thread's frames, down to the test or fixture that pytest called."""
    return "\n\n".join(map(_shortened, stacks.strip().split("\n\n")))


def _shortened(stack: str) -> str:
    lines = stack.splitlines()
    files = [found[1] if (found := _FILE.match(line)) else "" for line in lines]
    end = next((at for at, file in enumerate(files) if file.startswith(_OURS)), len(files))
    while end < len(files) and files[end - 1].startswith(_MACHINERY):
        end -= 1
    return "\n".join(lines[:end])
