import re
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
GLOSSARY = TREE / "docs" / "reference" / "glossary.md"
SUFFIXES = {".S", ".build", ".c", ".def", ".h", ".md", ".py", ".pyi", ".txt"}
TEXTS = {
    file.relative_to(TREE): file.read_text()
    for place in ("src", "native", "docs", "README.md", "CONTRIBUTING.md")
    for file in sorted({TREE / place, *(TREE / place).rglob("*")} - {GLOSSARY})
    if file.suffix in SUFFIXES
}
GIVEN_UP = re.split(r",\s+", GLOSSARY.read_text().rpartition(":\n")[2].strip(" .\n"))


@pytest.mark.parametrize("term", GIVEN_UP)
def test_a_term_that_was_given_up_is_gone(term: str) -> None:
    """The sources and the documentation use the glossary's terms: none that it gives up, in any name."""
    words = term.replace(" ", r"[\s_-]")
    pattern = re.compile(rf"(?<![a-z]){words}s?(?![a-z])", re.IGNORECASE)
    assert [str(file) for file, text in TEXTS.items() if pattern.search(text)] == []
