"""A plan as a table for a terminal."""

import textwrap
from collections.abc import Iterable

from .row import Row

_MARKS = {"fully": "yes", "partly": "partly", "not": "NO"}
_WIDTH = 100


def table(rows: Iterable[Row]) -> str:
    """A line for each wish; below it what it lacks and the remedy, where there is something."""
    listed = list(rows)
    width = max((len(row.wish) for row in listed), default=0)
    return "\n".join(line for row in listed for line in _lines(row, width))


def _lines(row: Row, width: int) -> list[str]:
    by = f", by {row.mechanism}" if row.mechanism else ""
    first = f"{row.wish:<{width}}  {_MARKS[row.met]:<6}  {row.text}{by}"
    below = [("lacks", row.shortfall), ("remedy", row.remedy)]
    return [first, *(line for name, text in below if text for line in _wrapped(name, text, width))]


def _wrapped(name: str, text: str, width: int) -> list[str]:
    start = " " * (width + 10)
    return textwrap.wrap(
        f"{name}: {text}",
        width=_WIDTH,
        initial_indent=start,
        subsequent_indent=start + " " * 2,
        break_on_hyphens=False,
        break_long_words=False,
    )
