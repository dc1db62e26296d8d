import re
from typing import get_type_hints

import pytest

from ramet import FunctionOptions, Options
from ramet._setup.order import ORDER
from ramet._setup.rows import FUNCTION_OPTIONS, OPTIONS, Option
from ramet.cli.run_options import from_row, from_rows


@pytest.mark.parametrize(
    ("dictionary", "rows"), [(Options, OPTIONS), (FunctionOptions, FUNCTION_OPTIONS)]
)
def test_type_checkers_see_what_the_rows_say(dictionary: type, rows: dict[str, Option]) -> None:
    """The typed dictionary has the rows' names in their order, and each type, some with None."""
    hints = get_type_hints(dictionary)
    of_programs = [name for name, row in rows.items() if row.of_programs]
    assert [*hints] == [*FUNCTION_OPTIONS, *of_programs]
    for name, row in rows.items():
        assert hints[name] in (row.kind.type, row.kind.type | None)  # type: ignore[operator]


@pytest.mark.parametrize("row", OPTIONS.values(), ids=lambda row: row.name)
def test_a_row_says_all_that_is_made_from_it(row: Option) -> None:
    """A sentence, a page, its values in words; and what the command line has of it can be made."""
    assert re.fullmatch(r"[A-Z].*\.", row.text)
    assert re.fullmatch(r"\w+\(\d(const)?\)", row.source)
    assert row.kind.expected
    assert [option.name for option in from_row(row)] == [
        shell.name.lstrip("-").replace("-", "_") for shell in row.shell
    ]


def test_a_heading_stands_once() -> None:
    """Rows of one group stand together, and so do the options of the command line."""
    for groups in ([row.group for row in OPTIONS.values()], [one.heading for one in from_rows()]):
        seen = list(dict.fromkeys(groups))
        assert sorted(groups, key=seen.index) == groups


def test_the_sections_are_numbered_in_their_order() -> None:
    """The number of a section is its place."""
    assert [section.place for section in ORDER] == [*range(1, len(ORDER) + 1)]
