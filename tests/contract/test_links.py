import re
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
PAGES = [*sorted(TREE.glob("*.md")), *sorted((TREE / "docs").rglob("*.md"))]


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)


def anchor_of(heading: str) -> str:
    """As forges make it: lower case, no punctuation, hyphens for blanks."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """The name of each heading, and those that the page sets itself, each on a line."""
    own = re.findall(r'^<a id="([^"]+)"></a>$', page.read_text(), flags=re.MULTILINE)
    return {*map(anchor_of, headings(page)), *own}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TREE)))
def test_each_link_leads_somewhere(page: Path) -> None:
    """What a page links to in this tree is there, with the heading that the link names."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if "://" not in link and (
            not target.exists() or (anchor and anchor not in anchors(target))
        ):
            broken.append(link)
    assert broken == []
