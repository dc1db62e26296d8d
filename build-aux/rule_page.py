"""Writes docs/reference/rules.md from the rows of the law.

`make pages` runs it; a test compares what it would write with what is there.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path

from ramet.law import RULES, Rule
from ramet.law.library import LIBRARY_RULES

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "rules.md"
NOTICE = "<!-- Made by build-aux/rule_page.py from the rows in src/ramet/law: change those. -->"
LEAD = (
    "When the kernel refuses a new task, it answers with an errno. Behind it is one of these checks, in "
    "the kernel's own order: the first broken rule is the one that it reports. A `CloneError` has them in "
    "`rules`, and `ramet explain` says which of them a request breaks. A rule with several causes has a "
    "line for each. [Every flag](flags/README.md) has the rules that name it."
)
LIBRARY_LEAD = (
    "Requests that no kernel refuses, and that cannot be made all the same: the library answers."
)
# In the kernel's order, as ramet.law.rows has them.
STAGES = (
    "above_bit_63",
    "clone3_arguments",
    "clone_flags",
    "unshare",
    "limits",
    "namespaces",
    "pids",
    "cgroups",
    "ignored",
    "setns",
)


def page() -> str:
    """The text of the page."""
    parts = ["# The rules of the kernel", NOTICE, LEAD]
    for stage in STAGES:
        module = import_module(f"ramet.law.rows.{stage}")
        title, _, lead = (module.__doc__ or "").partition("\n\n")
        parts.append(f"## {title.rstrip('.')}")
        if lead:
            parts.append(" ".join(lead.split()))
        parts += told(module.ROWS)
    parts += ["## What the library refuses", LIBRARY_LEAD, *told(tuple(LIBRARY_RULES.values()))]
    return "\n\n".join(parts) + "\n"


def told(rows: tuple[Rule, ...]) -> Iterator[str]:
    for name, group in groupby(rows, key=lambda row: row.id):
        yield f"### {name}"
        yield "\n".join(line(row) for row in group)


def line(row: Rule) -> str:
    calls = ", ".join(f"{call}()" for call in sorted(row.calls))
    answer = f"`{row.errno}`" if row.errno else "granted, and ignored,"
    span = f"Linux {row.since} until {row.until}" if row.until else f"since Linux {row.since}"
    place = "" if row.kernel_function == "none" else f"`{row.kernel_function}`, {row.source}; "
    seen = "" if row.verified else "; read, not yet seen on a kernel"
    return f"- {answer} in {calls}: {row.sentence}. **Remedy**: {row.remedy}. ({place}{span}{seen})"


def main() -> int:
    missing = {row.id for row in RULES} - {
        row.id for stage in STAGES for row in import_module(f"ramet.law.rows.{stage}").ROWS
    }
    if missing:
        print(f"{PAGE.name}: no stage has the rules {', '.join(sorted(missing))}", file=sys.stderr)
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
