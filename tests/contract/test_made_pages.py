import importlib.util
import types
from pathlib import Path

import pytest

from ramet import law
from ramet.flags import FACTS

TREE = Path(__file__).parents[2]
PAGES = TREE / "docs" / "reference" / "flags"


def generator(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, TREE / "build-aux" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_what_the_rows_say() -> None:
    """No page has drifted from its rows: `make pages` writes them anew."""
    written = {file.name: file.read_text() for file in PAGES.glob("*.md")}
    assert written == generator("flag_pages").pages()


@pytest.mark.parametrize("name", [row.name for row in FACTS])
def test_every_flag_has_one_section(name: str) -> None:
    """Each flag is told on one page, under its own heading."""
    heading = f"## {name.removeprefix('CLONE_')}"
    found = [file.name for file in PAGES.glob("*.md") if heading in file.read_text().splitlines()]
    assert len(found) == 1


def test_every_rule_is_told() -> None:
    """Each rule stands on some page."""
    text = "".join(file.read_text() for file in PAGES.glob("*.md"))
    assert [rule.id for rule in law.RULES if f"**{rule.id}**" not in text] == []


def test_the_page_of_the_escapes_is_what_the_rows_say() -> None:
    """Nor has this."""
    assert (TREE / "docs" / "reference" / "sandbox_escapes.md").read_text() == generator(
        "escape_page"
    ).page()


def test_the_page_of_the_options_is_what_the_rows_say() -> None:
    """It has not drifted either."""
    assert (TREE / "docs" / "reference" / "options.md").read_text() == generator(
        "option_page"
    ).page()
