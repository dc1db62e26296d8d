"""What the tests that ask the kernel have in common."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MOUNTS = Path("/proc/self/mounts")


def _cgroup2_roots() -> Iterator[Path]:
    for line in MOUNTS.read_text().splitlines():
        _, place, kind, *_ = line.split(" ")
        if kind == "cgroup2":
            yield Path(place)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A new directory of cgroup v2, empty again and removed in the end."""
    for root in _cgroup2_roots():
        try:
            made = Path(tempfile.mkdtemp(prefix="ramet-test-", dir=root))
        except OSError:
            continue
        yield made
        made.rmdir()
        return
    pytest.skip("needs a cgroup v2 hierarchy in which a directory can be made")


@pytest.fixture
def root() -> None:
    """Skip the test without the privileges of root."""
    if os.geteuid():
        pytest.skip("needs root")
