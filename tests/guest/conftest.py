"""Tests that change what is the whole machine's: they run in a guest, and nowhere else.

See docs/contributing/guests.md.
"""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ramet

IN_GUEST = Path("/run/guest/script").exists()
TREE = Path(__file__).parents[2]
PLAIN_USER = 65534


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """None of these changes the settings of a machine that is somebody's."""
    here = Path(__file__).parent
    if IN_GUEST and os.getuid() == 0:
        return
    for item in items:
        if here in item.path.parents:
            item.add_marker(
                pytest.mark.skip(reason="changes settings of the machine: root does, in a guest")
            )


@pytest.fixture
def setting() -> Iterator[Callable[[str, str], None]]:
    """Writes to files below /proc/sys, and what was there before in the end."""
    before: list[tuple[Path, str]] = []

    def change(name: str, value: str) -> None:
        path = Path("/proc/sys", name)
        if not path.exists():
            pytest.skip(f"this kernel has no {name}")
        before.append((path, path.read_text()))
        path.write_text(value)

    yield change
    for path, value in reversed(before):
        path.write_text(value)


def program_of(fn: Callable[[], object]) -> str:
    """The source of a program that calls a function, which imports all that it needs."""
    source = inspect.getsource(fn)
    return f"import sys; sys.path.append({str(TREE)!r})\n{source}\n{fn.__name__}()"


def as_plain_user(fn: Callable[[], object]) -> str:
    """Run a function in a new Python as a user without rights; what it printed."""
    done = ramet.run(
        [sys.executable, "-c", program_of(fn)],
        user=PLAIN_USER, group=PLAIN_USER, extra_groups=[], cwd="/tmp", env={**os.environ, "HOME": "/tmp"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return str(done.stdout)
