"""What follows the links of the built site finds those that lead nowhere."""

import importlib.util
import types
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
SITE = TREE / "build" / "site"


@pytest.fixture(scope="module")
def builder() -> types.ModuleType:
    """build-aux/build_site.py as a module."""
    spec = importlib.util.spec_from_file_location(
        "build_site", TREE / "build-aux" / "build_site.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('<a href="missing.html">', "missing.html: there is no such file"),
        ('<a href="#nowhere">', "#nowhere: there is no such place in the page"),
        ('<a href="other.html#nowhere">', "no such place"),
        ('<a href="../outside.html">', "there is no such file"),
        ('<script src="https://host.invalid/a.js">', "is loaded from another host"),
        ('<img src="//host.invalid/a.png">', "is loaded from another host"),
        (
            '<link rel="stylesheet" href="https://host.invalid/a.css">',
            "is loaded from another host",
        ),
    ],
)
def test_a_broken_link_is_found(
    builder: types.ModuleType, tmp_path: Path, line: str, told: str
) -> None:
    """A file that is not there, a place that is not in its page, and a file of another host are told."""
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "outside.html").write_text("")
    (site / "other.html").write_text('<h2 id="there">')
    (site / "index.html").write_text(line)
    (found,) = builder.broken_links(site)
    assert told in found


def test_a_good_link_is_not(builder: types.ModuleType, tmp_path: Path) -> None:
    """Links within the site, to its places, and to other hosts for a reader to follow, are not told."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "index.html").write_text('<h2 id="there">')
    (tmp_path / "index.html").write_text(
        '<a href="folder/index.html#there"><a href="folder/"><a href="https://host.invalid/">'
        '<a href="folder/index.html#lang=zh">'
    )
    assert list(builder.broken_links(tmp_path)) == []


def test_each_page_of_the_tree_is_in_the_site_in_both_languages() -> None:
    """Each English page of docs/ is a page of the site, and of its Chinese part, translated or not."""
    sources = [
        file.relative_to(TREE / "docs")
        for file in (TREE / "docs").rglob("*.md")
        if not file.name.endswith(".zh.md")
    ]
    assert len(sources) > 60
    for source in sources:
        page = source.with_name("index.html" if source.stem == "README" else f"{source.stem}.html")
        assert (SITE / page).is_file()
        assert (SITE / "zh" / page).is_file()
