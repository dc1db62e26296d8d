"""What a link of the built site is called."""

import re
from pathlib import Path

import pytest

SITE = Path(__file__).parents[2] / "build" / "site"
LINK = re.compile(r'<a href="([^"]+)">([^<]*)</a>')


def links(page: Path) -> list[tuple[str, str]]:
    """Where each link of a page's own text leads, and what it is called."""
    _, _, article = page.read_text("utf-8").partition("<article")
    return LINK.findall(article.partition("</article>")[0])


def test_no_link_is_called_by_the_name_of_a_file() -> None:
    """A page has a name; that of its file is for those who read the tree."""
    pages = sorted(SITE.rglob("*.html"))
    assert len(pages) > 100
    named = [(str(page), name) for page in pages for _, name in links(page)]
    assert [pair for pair in named if re.fullmatch(r"\S+\.(md|py)", pair[1])] == []


@pytest.mark.parametrize(
    ("page", "link", "name"),
    [
        ("reference/calls.html", "../how_to/templates.html", "Templates"),
        ("zh/reference/calls.html", "../how_to/templates.html", "模板"),
        ("zh/reference/calls.html", "../explorer.html", "标志探索器"),
        ("zh/how_to/joblib.html", "../examples/a_grid_search.html", "A grid search"),
    ],
)
def test_a_page_is_called_by_its_name(page: str, link: str, name: str) -> None:
    """A link has the name that the navigation gives the page in that language, or the page's own title."""
    assert (link, name) in links(SITE / page)


def test_the_explorer_is_opened_in_the_language_of_the_page() -> None:
    """Its one page has all languages, of which a link chooses one."""
    assert 'href="explorer/index.html#lang=en"' in (SITE / "explorer.html").read_text("utf-8")
    assert 'href="../explorer/index.html#lang=zh"' in (SITE / "zh/explorer.html").read_text("utf-8")
