"""Writes docs/reference/options.md from the rows of the options, so that the page cannot drift.

`make pages` runs it; a test compares what it would write with what is there.
"""

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from ramet._setup.order import ORDER
from ramet._setup.rows import OPTIONS, Option

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "options.md"
NOTICE = (
    "<!-- Made by build-aux/option_page.py from the rows in src/ramet/_setup: change those. -->"
)
LEAD = (
    "Each option is a keyword of `ramet.run`, `Popen`, `Command` and the like, and, where it does not "
    "need a program, of `ramet.clone`, `vfork` and `in_namespace`. None is the same as leaving it out. "
    "The last column is the option of `ramet run`. [programs.md](../how_to/programs.md) says how a program "
    "is started with them."
)
ORDER_LEAD = (
    "What the options ask for is done in the child, before its program or function, in this order. A "
    "cgroup v2 is not a step: the clone call puts the child into it (`CLONE_INTO_CGROUP`)."
)


def page() -> str:
    """The text of the page."""
    parts = ["# The options", NOTICE, LEAD]
    for group, rows in groupby(OPTIONS.values(), key=lambda row: row.group):
        parts += [
            f"## {group}",
            table(["option", "value", "what it does", "needs", ""], map(cells, rows)),
        ]
    order = ([str(one.place), one.what, one.why] for one in ORDER)
    parts += ["## The order", ORDER_LEAD, table(["", "what", "why there"], order)]
    return "\n\n".join(parts) + "\n"


def table(head: list[str], lines: Iterator[list[str]]) -> str:
    texts = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in texts)


def cells(row: Option) -> list[str]:
    shell = ", ".join(f"`{one.name} {one.value}".rstrip() + "`" for one in row.shell)
    text = f"{row.text} {row.source}"
    told = [f"`{row.name}`", row.kind.expected, text, "; ".join(row.conditions()), shell]
    return [cell.replace("|", "\\|") for cell in told]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
