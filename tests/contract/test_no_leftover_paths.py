import os
import re
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).parents[2]

# Folders that hold what was made from the tree, not the tree.
MADE = re.compile(r"build|dist|__pycache__|\.git|\.venv.*|\..*_cache|\.hypothesis|\.mesonpy-.*")

# A letter of each stands in brackets, so that this file does not find itself.
LEFTOVERS = {
    "a path of the machine it was written on": re.compile(r"(?<![\w./}-])/(?:[w]ork\b|[r]oot/)"),
    "the host of a package registry": re.compile(
        r"[p]ypi\.org|python[h]osted\.org|deb\.[d]ebian\.org|registry\.[n]pmjs\.org"
    ),
    "a note of unfinished work": re.compile(r"\b(?:[T]ODO|[F]IXME|[X]XX)\b"),
}


def files() -> Iterator[Path]:
    for folder, folders, names in os.walk(TREE):
        folders[:] = [name for name in folders if not MADE.fullmatch(name)]
        yield from (Path(folder, name) for name in names if name != ".git")  # a worktree has a file


def test_nothing_is_left_over() -> None:
    """No file of the tree holds a path of one machine, a registry's host or a note to self."""
    found = [
        f"{file.relative_to(TREE)}:{number}: {what}"
        for file in files()
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1)
        for what, pattern in LEFTOVERS.items()
        if pattern.search(line)
    ]
    assert found == []
