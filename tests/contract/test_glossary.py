import re
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
GLOSSARY = TREE / "docs" / "reference" / "glossary.md"
CHINESE = GLOSSARY.with_name("glossary.zh.md")
SUFFIXES = {".S", ".build", ".c", ".def", ".h", ".md", ".py", ".pyi", ".txt"}
TEXTS = {
    file.relative_to(TREE): file.read_text()
    for place in ("src", "native", "docs", "README.md", "CONTRIBUTING.md")
    for file in sorted({TREE / place, *(TREE / place).rglob("*")} - {GLOSSARY, CHINESE})
    if file.suffix in SUFFIXES
}


def given_up(text: str, before: str) -> list[str]:
    """The words of the last sentence, each the name of something in commits of old."""
    return re.split(r",\s+", text.rpartition(before)[2].strip(" .\n"))


GIVEN_UP = given_up(GLOSSARY.read_text(), ":\n")


def test_both_glossaries_give_up_the_same() -> None:
    """The list in the Chinese glossary is the list in the English one."""
    assert given_up(CHINESE.read_text(), "\n\n") == GIVEN_UP


@pytest.mark.parametrize("term", GIVEN_UP)
def test_a_term_that_was_given_up_is_gone(term: str) -> None:
    """The sources and the documentation use the glossary's terms: none that it gives up, in any name."""
    words = term.replace(" ", r"[\s_-]")
    pattern = re.compile(rf"(?<![a-z]){words}s?(?![a-z])", re.IGNORECASE)
    assert [str(file) for file, text in TEXTS.items() if pattern.search(text)] == []
