"""Ramet, built for a Python and a libc whose structures lie elsewhere than in the running ones."""

import json
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import ramet
from ramet import _core

BUILD = Path(str(_core.__file__)).resolve().parents[2]
COMMANDS = BUILD / "compile_commands.json"
MEMBER = "\n    unsigned long moved_on_purpose;\n"


@dataclass(frozen=True)
class Header:
    """The first member of one of CPython's internal structures stands 8 bytes further on."""

    pattern: str


@dataclass(frozen=True)
class Source:
    """A number in a source of ours is another."""

    file: str
    old: str
    new: str


Move = Header | Source


def build(move: Move, folder: Path) -> Path:
    """A folder for PYTHONPATH that has such a ramet."""
    objects = {file: file for file in (BUILD / "native").rglob("*.o") if "test" not in file.name}
    for command in json.loads(COMMANDS.read_text()):
        if (words := _moved_command(move, command, folder)) is not None:
            output = BUILD / command["output"]
            objects[output] = folder / f"{len(objects)}{output.name}"
            _run([*words, "-o", str(objects[output])], command["directory"])
    assert any(file != moved for file, moved in objects.items())
    package = folder / "src" / "ramet"
    shutil.copytree(Path(ramet.__file__).parent, package, ignore=shutil.ignore_patterns("*.so"))
    library = package / Path(str(_core.__file__)).name
    compiler = _compiler_of(json.loads(COMMANDS.read_text())[0])
    _run(
        [*compiler, "-shared", "-pthread", *map(str, objects.values()), "-o", str(library)], folder
    )
    return package.parent


def _compiler_of(command: dict[str, str]) -> list[str]:
    """One word, or two: where there is a ccache, meson puts it before the compiler."""
    return list(takewhile(lambda word: not word.startswith("-"), shlex.split(command["command"])))


def _moved_command(move: Move, command: dict[str, str], folder: Path) -> list[str] | None:
    """How that file is compiled then; None: as ever."""
    source = Path(command["directory"], command["file"]).resolve()
    words = shlex.split(command["command"])
    words = [*words[: words.index("-o")], "-O1"]
    if isinstance(move, Header):
        if "python_internals.h" not in source.read_text():
            return None
        return [*words, "-iquote", str(_moved_headers(move, folder)), "-c", str(source)]
    if source.name != move.file:
        return None
    text = source.read_text()
    assert move.old in text, move
    moved = folder / source.name
    moved.write_text(text.replace(move.old, move.new))
    return [*words, "-iquote", str(source.parent), "-c", str(moved)]


def _moved_headers(move: Header, folder: Path) -> Path:
    headers = folder / "include"
    if not headers.exists():
        include = Path(sysconfig.get_path("include"), "internal")
        shutil.copytree(include, headers / "internal")
        found = 0
        for header in (headers / "internal").glob("*.h"):
            text, count = re.subn(move.pattern, lambda found: found[0] + MEMBER, header.read_text())
            header.write_text(text)
            found += count
        assert found == 1, (move, found)
    return headers


def _run(words: Sequence[str], folder: str | Path) -> None:
    done = subprocess.run(words, check=False, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
