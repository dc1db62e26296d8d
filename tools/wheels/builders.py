"""Three ways to build a wheel: with a Python here, with one in a Debian of its own, for another machine."""

import shutil
import sys
from pathlib import Path
from typing import Any

import ramet
from tools.guest import roots
from tools.guest.suite import copy_sources

from .targets import HERE, Target

TREE = Path(__file__).parents[2]
PLACE = TREE / "build" / "wheels"
CACHE = TREE / "build" / "guest"
UV = (sys.executable, "-m", "uv", "--quiet")
PIP = (sys.executable, "-m", "pip")
_TOOLS = ("meson-python", "meson", "ninja", "ziglang")
_SCRIPT = "tools/wheels/build_one.py"
_SCRATCH_BYTES = "2G"


class NoPythonError(Exception):
    """There is no Python to build a wheel with."""


def build(target: Target, mirror: str | None) -> Path:
    """Build the wheel of this tree for a target; it is not audited yet.

    mirror: as for tools.guest.packages.Archive. NoPythonError, PackageError.
    """
    python, root = target.python(), target.root()
    if target.machine != HERE and not (python and root):
        needed = f"python{target.version} here, with its headers, and a Debian that has one"
        raise NoPythonError(f"for another machine it needs {needed}")
    if not (python or root):
        raise NoPythonError(
            f"no python{target.version} with its headers is on the PATH, none in Debian"
        )
    raw = PLACE / "raw" / str(target)
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir(parents=True)
    if python and root and target.machine != HERE:
        directory = roots.make(root, mirror, CACHE)
        _with_python(_environment(python), raw, target.machine, directory)
    elif python:
        _with_python(_environment(python), raw, HERE)
    elif root:
        _in_image(root, roots.make(root, mirror, CACHE), raw)
    (wheel,) = raw.glob("*.whl")
    return wheel


def _environment(python: Path) -> Path:
    """One with what a build needs; its Python."""
    place = PLACE / "environments" / python.name
    ramet.run([*UV, "venv", "--clear", "--python", python, place], check=True)
    ramet.run([*UV, "pip", "install", "--python", place, *_TOOLS], check=True)
    return place / "bin" / "python"


def _with_python(python: Path, raw: Path, machine: str, *root: Path) -> None:
    _told([python, _SCRIPT, raw, machine, *root], cwd=TREE)


def _in_image(root: roots.Root, directory: Path, raw: Path) -> None:
    """Confined: what runs there sees that Debian, a copy of the tree, and where the wheel goes."""
    python = roots.make_environment(directory, root, "build", _TOOLS, PIP)
    copy = PLACE / "tree"
    copy_sources(TREE, copy)
    for place in (copy, raw):  # a path is shown in its own place, which the image must have
        (directory / place.relative_to("/")).mkdir(parents=True, exist_ok=True)
    raw.chmod(0o777)
    sandbox = ramet.Sandbox(root=directory, read=[copy], write=[raw], tmp=_SCRATCH_BYTES)
    environment = {"HOME": "/tmp", "PATH": "/usr/bin:/bin"}  # which are two before Debian 13
    _told([python, _SCRIPT, raw, root.machine], cwd=copy, env=environment, sandbox=sandbox)


def _told(argv: list[str | Path], **options: Any) -> None:
    """Run it; what it printed is shown when it fails."""
    done = ramet.run(argv, stdout=ramet.PIPE, stderr=ramet.STDOUT, text=True, **options)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(map(str, argv))} ended with {done.returncode}")
