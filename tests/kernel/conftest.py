"""What the tests that ask the kernel have in common."""

import os
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from ramet import Command

Told: TypeAlias = Callable[..., str]


@pytest.fixture
def root() -> None:
    """Skip the test without the privileges of root."""
    if os.geteuid():
        pytest.skip("needs root")


def _told(argv: list[str], **options: Any) -> str:
    out, written = os.pipe()
    try:
        with Command(argv, **{"stdout": written, **options}).spawn() as child:
            os.close(written)
            written = -1
            with open(out, closefd=False) as file:
                text = file.read()
            assert child.wait(60).code == 0
            return text.strip()
    finally:
        os.close(out)
        if written >= 0:
            os.close(written)


@pytest.fixture
def told() -> Told:
    """Run a program with options; what it says on its output."""
    return _told


@pytest.fixture
def python_told() -> Told:
    """Run a statement of Python with options; what it prints."""

    def run(code: str, **options: Any) -> str:
        return _told([sys.executable, "-I", "-S", "-c", code], **options)

    return run


@pytest.fixture
def status() -> Callable[..., dict[str, str]]:
    """Start a program with options; its /proc/self/status, line by line."""

    def read(**options: Any) -> dict[str, str]:
        lines = _told(["cat", "/proc/self/status"], **options).splitlines()
        return {name: " ".join(value.split()) for name, value in (x.split(":", 1) for x in lines)}

    return read
