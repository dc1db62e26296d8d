"""A Chinese page `page.zh.md` says what `page.md` beside it says: what can be compared is compared.

The code is the same, which lets tests/documents run the English pages alone. Links lead to the English
file names; the site puts the Chinese page in their place where there is one.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from .test_links import TREE, anchor_of, anchors, headings

DOCS = TREE / "docs"
TRANSLATED = sorted(DOCS.rglob("*.zh.md"))
MARKDOWN = MarkdownIt("commonmark").enable("table")
# Begins the notice of a page that a program writes, from rows or docstrings in English.
MADE = "<!-- Made by "
WRITTEN = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if page not in TRANSLATED and MADE not in page.read_text()
]
NUMBER = r"(\d+(?:[.,]\d+)*)(?: (million|\u4e07))?"
UNITS = {"million": 1_000_000, "\u4e07": 10_000}
INLINE_CODE = "\N{OBJECT REPLACEMENT CHARACTER}"
ITALICS = "\N{ZERO WIDTH SPACE}"

each_page = pytest.mark.parametrize(
    "page", TRANSLATED, ids=lambda page: str(page.relative_to(TREE))
)


def original(page: Path) -> Path:
    return page.with_name(page.name.replace(".zh.md", ".md"))


def tokens(text: str) -> Iterator[Token]:
    """Those of the blocks, and below each block those of its text."""
    for block in MARKDOWN.parse(text):
        yield block
        yield from block.children or []


def code_blocks(text: str) -> list[tuple[str, str]]:
    return [
        (token.info, dedent(token.content))
        for token in tokens(text)
        if token.type in ("fence", "code_block")
    ]


def sections(text: str) -> Iterator[list[Token]]:
    """The blocks before the first heading, and from each heading to the next."""
    section: list[Token] = []
    for block in MARKDOWN.parse(text):
        if block.type == "heading_open":
            yield section
            section = []
        section.append(block)
    yield section


def code_in_text(text: str) -> list[list[str]]:
    """By section, in the order of the alphabet: that of a sentence is each language's own."""
    return [
        sorted(
            token.content
            for block in section
            for token in block.children or []
            if token.type == "code_inline"
        )
        for section in sections(text)
    ]


def link_targets(text: str) -> list[str]:
    return [str(token.attrs["href"]) for token in tokens(text) if token.type == "link_open"]


def heading_levels(text: str) -> list[str]:
    return [token.tag for token in tokens(text) if token.type == "heading_open"]


def cells_of_rows(text: str) -> list[int]:
    """How many cells each row of each table has; a table begins with a 0."""
    rows: list[int] = []
    for token in tokens(text):
        if token.type in ("table_open", "tr_open"):
            rows.append(0)
        elif token.type in ("th_open", "td_open"):
            rows[-1] += 1
    return rows


def list_items(text: str) -> int:
    return sum(token.type == "list_item_open" for token in tokens(text))


def paragraphs(blocks: Iterable[Token]) -> Iterator[str]:
    """The text of paragraphs, headings and cells, without markup; characters stand for code and italics."""
    for block in blocks:
        if block.type == "inline":
            yield "".join(map(plain, block.children or []))


def plain(token: Token) -> str:
    match token.type:
        case "text":
            return token.content
        case "code_inline":
            return INLINE_CODE
        case "softbreak":
            return "\n"
        case "em_open":
            return ITALICS
        case _:
            return ""


def numbers(text: str) -> list[list[str]]:
    """Those written in digits, outside of code, by section."""
    return [
        sorted(
            str(round(float(digits.replace(",", "")) * UNITS[unit])) if unit else digits
            for paragraph in paragraphs(section)
            for digits, unit in re.findall(NUMBER, paragraph)
        )
        for section in sections(text)
    ]


ALIKE: tuple[Callable[[str], object], ...] = (
    code_blocks,
    code_in_text,
    link_targets,
    heading_levels,
    cells_of_rows,
    list_items,
    numbers,
)

HAN = r"[\u3400-\u9fff]"
LATIN = rf"[A-Za-z0-9{INLINE_CODE}]"
OPENING = "\u201c\u300a\uff08"  # quotation marks and brackets of full width
WITHIN = "\u3001\uff0c\uff1a\uff1b"  # commas, colon, semicolon
CLOSING = "\u3002\uff01\uff1f\u201d\u300b\uff09"  # full stop, other ends of a sentence, and so on
SLIPS = {
    "an English sentence": r"(?:[A-Za-z'-]+\s){5}[A-Za-z'-]+",
    "a sign of half width": rf"{HAN}[,;:!?]|{HAN}\.(?!\.)|(?<!\.)[,;:!?.]{HAN}|{HAN} ?\(|{HAN}\)",
    "no blank beside a Latin word": rf"{HAN}{LATIN}|{LATIN}{HAN}|\){HAN}",
    # Not after a full stop: where bold text ends with one, a forge needs the blank to see its end.
    "a blank beside a full-width sign": rf"[{OPENING}{WITHIN}] | [{WITHIN}{CLOSING}]",
    "a line break, which shows as a blank": r".\n.",
    "an asterisk that marks nothing": r"\*",
    "italics, which Chinese does not have": ITALICS + HAN,
}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(TREE)))
def test_each_written_page_is_there_in_chinese(page: Path) -> None:
    """Each page of docs/ that no program writes has a Chinese one beside it."""
    assert page.with_name(f"{page.stem}.zh.md").is_file()


def test_there_are_translations() -> None:
    """Some pages are there in Chinese: else no test below looks at anything."""
    assert len(TRANSLATED) >= 12


@each_page
def test_the_page_beside_it_is_there(page: Path) -> None:
    """A Chinese page is a translation of an English one."""
    assert original(page).is_file()


@each_page
@pytest.mark.parametrize("part", ALIKE, ids=lambda part: part.__name__)
def test_a_part_is_the_same_in_both(page: Path, part: Callable[[str], object]) -> None:
    """Code, links, numbers, headings, tables and lists are those of the English page."""
    assert part(page.read_text()) == part(original(page).read_text())


@each_page
def test_each_heading_has_the_anchor_of_the_english_one(page: Path) -> None:
    """A link to a heading of the English page leads to the same place of the Chinese one."""
    _, *others = headings(original(page))
    assert {anchor_of(heading) for heading in others} - anchors(page) == set()


@each_page
@pytest.mark.parametrize("slip", SLIPS)
def test_the_chinese_is_set_as_chinese(page: Path, slip: str) -> None:
    """No English is left, and signs, blanks and lines are those of Chinese text."""
    pattern = re.compile(SLIPS[slip])
    found = [
        match[0]
        for text in paragraphs(MARKDOWN.parse(page.read_text()))
        for match in pattern.finditer(text)
    ]
    assert found == []
