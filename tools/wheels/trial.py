"""Trying what was built: the tour, with a fresh installation."""

import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import ramet
from tools.guest import kernels, machine, roots

from .builders import CACHE, PIP, PLACE, UV
from .targets import HERE, Target

_KERNEL = "6.12"
_GUEST_SECONDS = 300.0


def try_wheel(target: Target, wheel: Path, mirror: str | None) -> str:
    """Install a wheel where its Python is, here or in a guest; what the tour came to there."""
    python = target.python()
    if target.machine == HERE and python:
        return _here(str(target), python, f"ramet[cli] @ file://{wheel}")
    root = target.root()
    assert root is not None
    return _in_guest(root, wheel, mirror)


def try_source(sdist: Path, compiler: str) -> str:
    """Build from the sdist with a compiler, and run the tour."""
    python = Path(sys.executable)
    return _here(f"sdist-{compiler}", python, f"ramet[cli] @ file://{sdist}", CC=compiler)


def _here(name: str, python: Path, requirement: str, **variables: str) -> str:
    place = PLACE / "trials" / name
    shutil.rmtree(place, ignore_errors=True)
    environment = {**os.environ, **variables}
    ramet.run([*UV, "venv", "--python", python, place], check=True)
    ramet.run(
        [*UV, "pip", "install", "--no-cache", "--python", place, requirement],
        check=True,
        env=environment,
    )
    tour = ramet.run([place / "bin" / "ramet", "tour", "--json"], stdout=ramet.PIPE, text=True)
    return _told(tour.stdout)


def _in_guest(root: roots.Root, wheel: Path, mirror: str | None) -> str:
    directory = roots.make(root, mirror, CACHE)
    python = roots.make_environment(directory, root, "trial", [f"ramet[cli] @ file://{wheel}"], PIP)
    kernel = kernels.fetch(kernels.named(_KERNEL), root.machine, mirror, CACHE)
    results = CACHE / "results" / f"wheel-{root.name}"
    script = f"{python} -m ramet tour --json >/tmp/tour && cp /tmp/tour /run/guest/tour.json"
    guest = machine.Guest(root.machine, kernel, directory)
    end = machine.run(guest, script, results, seconds=_GUEST_SECONDS)
    if not end.success:
        sys.exit(f"{wheel.name}: the tour in a guest: {end.reason or f'ended with {end.code}'}")
    return _told((results / "tour.json").read_text())


def _told(tour: str) -> str:
    content = json.loads(tour)
    verdicts = Counter(row["verdict"] for row in content["rows"])
    if verdicts["DIFFERS"]:
        sys.exit(f"the tour differs: {verdicts}")
    where = "{python} on Linux {kernel}, {libc}".format(**content["machine"])
    return f"Python {where}: " + ", ".join(f"{count} {each}" for each, count in verdicts.items())
