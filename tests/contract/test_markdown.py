"""The pages of docs/ mean the same to a forge and to the site, whose reader of Markdown is stricter."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
PAGES = sorted((TREE / "docs").rglob("*.md"))
ITEM = re.compile(r"\s*(?:\d+\.|[-*]) ")


def lines_of(page: Path) -> Iterator[tuple[int, str, str]]:
    """Each line outside of fences, with its number and the line before."""
    fenced, before = False, ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line, before
        before = line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TREE)))
def test_lists_and_tables_are_seen(page: Path) -> None:
    """A list or a table has an empty line before it, and what belongs to an item is indented by four."""
    wrong = []
    in_list = False
    for number, line, before in lines_of(page):
        begins = bool(ITEM.match(line))
        in_list = begins or (in_list and (not line or line.startswith(" ")))
        if begins and before.strip() and not ITEM.match(before) and not before.startswith("  "):
            wrong.append(f"{number}: a list in a paragraph")
        if line.startswith("|") and before.strip() and not before.startswith("|"):
            wrong.append(f"{number}: a table in a paragraph")
        indent = len(line) - len(line.lstrip())
        if in_list and line.strip() and not before.strip() and not begins and indent % 4:
            wrong.append(f"{number}: a block in a list that is indented by {indent}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TREE)))
def test_a_page_has_one_title(page: Path) -> None:
    """The first line is the title, and there is no other."""
    titles = [number for number, line, _ in lines_of(page) if line.startswith("# ")]
    assert titles == [1]
