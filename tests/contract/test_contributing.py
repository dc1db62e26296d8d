import re
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
PAGE = (TREE / "CONTRIBUTING.md").read_text()
ROOMS = Path(__file__).with_name("rooms.txt").read_text()
TABLES = sorted(Path(__file__).parent.glob("rooms*.txt"))
DOCUMENTS = [*sorted(TREE.glob("*.md")), *sorted((TREE / "docs").rglob("*.md"))]
PATH = re.compile(
    r"`((?:\.ci|benchmarks|build-aux|docs|examples|native|src|tests|website)(?:/[\w.-]+)+)`"
)


def test_the_table_of_imports_is_printed() -> None:
    """The page has the tables word for word, and says of each room what it is."""
    assert [table for table in TABLES if f"```\n{table.read_text()}```\n" not in PAGE] == []
    described = re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)
    assert described == [line.split()[0] for line in ROOMS.splitlines()]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(TREE)))
def test_each_path_that_is_named_is_there(page: Path) -> None:
    """A file or folder of the tree that a page names, "where a change goes" above all, exists."""
    named = set(PATH.findall(page.read_text()))
    assert sorted(path for path in named if not (TREE / path).exists()) == []
