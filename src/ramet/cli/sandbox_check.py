"""The plan of a sandbox on this machine, as a table."""

import sys

from rich.table import Table
from rich.text import Text

from .._sandbox.planning.plan import Plan
from .._sandbox.planning.row import Row
from ..tour.colours import ALARM, AMBER, GREEN, NAME, NOTE, console_for
from .sandbox_options import in_words_of_options

_LEAST_COLUMNS = 40  # of less the table shows nothing
_MARKS = {"fully": ("yes", GREEN), "partly": ("partly", AMBER), "not": ("no", ALARM)}


def show(plan: Plan, *, starts: bool) -> None:
    """Print a line for each wish; below it what is lacking, and the remedy."""
    console = console_for(sys.stdout)
    console.width = max(console.width, _LEAST_COLUMNS)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=NOTE)
    table.add_column("wish", style=NAME)
    table.add_column("met")
    table.add_column("what, and by what", overflow="fold")
    for row in plan.rows:
        mark, style = _MARKS[row.met]
        table.add_row(row.wish, Text(mark, style=style), _about(row))
    console.print(table)
    end = "a program would start" if starts else "no program would start: see what is not met"
    console.print(Text(end, style=NOTE))


def _about(row: Row) -> Text:
    by = f", by {row.mechanism}" if row.mechanism else ""
    lines = [Text(row.text + by)]
    if row.shortfall:
        lines.append(Text(f"lacks: {row.shortfall}", style=NOTE))
    if row.remedy:
        lines.append(Text(f"remedy: {in_words_of_options(row.remedy)}", style=NOTE))
    return Text("\n").join(lines)
