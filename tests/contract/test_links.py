import re
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
PAGES = [*sorted(TREE.glob("*.md")), *sorted((TREE / "docs").rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The name of each heading, as forges make it, and those that the page sets itself.

    A forge's are in lower case, without punctuation, with hyphens for blanks.
    """
    text = page.read_text()
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'^<a id="([^"]+)"></a>$', text, flags=re.MULTILINE))


def links(page: Path) -> list[tuple[str, str]]:
    """File and anchor of each link of the page to this tree; one of the two may be empty."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    parts = [link.partition("#") for link in found if "://" not in link]
    return [(file, anchor) for file, _, anchor in parts]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TREE)))
def test_each_link_leads_somewhere(page: Path) -> None:
    """What a page links to in this tree is there, with the heading that the link names."""
    broken = []
    for file, anchor in links(page):
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{file}#{anchor}")
    assert broken == []
