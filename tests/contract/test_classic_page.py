import re
from pathlib import Path

import pytest

from ramet.tour.run import all_rows

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "the_classic_page.md"

PARAMETERS = ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P11")
WRAPPER = ("P12", "P13", "P14")
FLAGS = (
    "VM",
    "FS",
    "FILES",
    "SIGHAND",
    "PTRACE",
    "VFORK",
    "PARENT",
    "THREAD",
    "NEWNS",
    "SYSVSEM",
    "SETTLS",
    "PARENT_SETTID",
    "CHILD_CLEARTID",
    "DETACHED",
    "UNTRACED",
    "CHILD_SETTID",
    "STOPPED",
)
FORK_AND_VFORK = ("K1", "K2", "K3", "K4", "K5")
STATEMENTS = (*PARAMETERS, *WRAPPER, *FLAGS, *FORK_AND_VFORK)

FIRST_WORDS = ("Call", "Row", "Today")


def sections() -> dict[str, str]:
    """Text by id of statement: from `### P7: child_stack` or `### VM` to the next heading."""
    found = re.findall(r"^### (\w+).*\n((?:(?!#).*\n)*)", PAGE.read_text(), flags=re.MULTILINE)
    return dict(found)


def items(section: str) -> dict[str, str]:
    """Items such as `- Call: ...` by their first word, each with its continued lines."""
    found = re.findall(r"^- (\w+): (.+(?:\n  .+)*)", section, flags=re.MULTILINE)
    return dict(found)


def test_the_page_has_every_statement_in_the_books_order() -> None:
    """The document has a section for each statement of the page, and for nothing else."""
    assert tuple(sections()) == STATEMENTS


def test_no_statement_has_two_sections() -> None:
    """Each statement is told once."""
    headings = re.findall(r"^### (\w+)", PAGE.read_text(), flags=re.MULTILINE)
    assert sorted(headings) == sorted(set(headings))


def test_the_tour_has_a_row_for_every_statement() -> None:
    """No statement of the page is left unproved."""
    assert set(STATEMENTS) - {row.id for row in all_rows()} == set()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_section_says_what_the_book_says(statement: str) -> None:
    """Before its items each section puts the statement in words."""
    before, _, _ = sections()[statement].partition("\n- ")
    assert before.strip()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_section_names_call_row_and_today(statement: str) -> None:
    """Each section has its three items, in their order."""
    assert tuple(items(sections()[statement])) == FIRST_WORDS


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_section_names_its_own_row(statement: str) -> None:
    """The command in a section shows the row of that very statement."""
    command = re.findall(r"`ramet tour --only (\w+)`", items(sections()[statement])["Row"])
    assert command == [statement]
