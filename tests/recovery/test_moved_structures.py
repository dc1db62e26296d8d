"""A build for structures that lie elsewhere: a wheel that runs on another bugfix release."""

import ast
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from .moved import COMMANDS, Header, Move, Source, build

LIBC = tuple(map(int, platform.libc_ver()[1].split(".")))
TREE = str(Path(__file__).parents[2])
PROGRAM = f"""
import faulthandler, sys
faulthandler.dump_traceback_later(60, exit=True)
sys.path.append({TREE!r})
from tests.crash.deaths import deaths
deaths()
"""
# The structure, and what is off then.
MOVES: list[tuple[str, Move, list[str]]] = [
    ("gil", Header(r"struct _gil_runtime_state \{"), ["interpreter lock"]),
    ("frame", Header(r"struct _PyInterpreterFrame \{"), ["frames", "objects"]),
    ("collector", Header(r"struct _gc_runtime_state \{"), ["garbage collector", "objects"]),
    (
        "interpreters",
        Header(r"struct pyinterpreters \{"),
        # Before 3.12 there is none to hide; but the interpreter lock lies behind it.
        ["interpreter lock" if sys.version_info < (3, 12) else "list of interpreters"],
    ),
    (
        "condvar",
        Source("condvar.c", "(unsigned *)condvar + number", "(unsigned *)condvar + number + 2"),
        ["condition variables"],
    ),
    (
        "clock of a condvar",
        Source("condvar.c", "OF_MONOTONIC_CLOCK 2U", "OF_MONOTONIC_CLOCK 1U"),
        ["condition variables"],
    ),
    ("arena", Source("malloc_state.c", "lock[] = {8, 96}", "lock[] = {16, 104}"), ["malloc"]),
    (
        "cache",
        Source("malloc_state.c", "(cache + CACHE_LISTS", "(cache + 8 + CACHE_LISTS"),
        ["malloc"] if LIBC < (2, 42) else [],
    ),
    (
        "threads",
        Source("lost_threads.c", "*offset = field->offset;", "*offset = field->offset + 8;"),
        ["threads of libraries"],
    ),
]


@pytest.mark.skipif(not COMMANDS.exists(), reason="an installed ramet has no build to change")
@pytest.mark.parametrize(
    ("move", "off"), [each[1:] for each in MOVES], ids=[each[0] for each in MOVES]
)
def test_what_lies_elsewhere_is_let_alone(tmp_path: Path, move: Move, off: list[str]) -> None:
    """What reads the structure is off by itself, and a death corrupts nothing: the caller goes on."""
    package = build(move, tmp_path)
    for allocator in ("default", "debug"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            check=False,
            env={**os.environ, "PYTHONPATH": str(package), "PYTHONMALLOC": allocator},
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr
        *_, status = done.stdout.splitlines()
        assert sorted(part for part, why in ast.literal_eval(status).items() if why) == off
