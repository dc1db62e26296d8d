"""How the tour looks: a table for people, plain lines where there is no terminal, JSON for machines."""

import os
import platform
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, TextIO

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from .row import Verdict
from .run import Outcome

_STYLES = {
    Verdict.HOLDS: "green",
    Verdict.CHANGED: "yellow",
    Verdict.GONE: "magenta",
    Verdict.NOT_PERMITTED: "dim",
    Verdict.DIFFERS: "bold white on red",
}

_LEGEND = {
    Verdict.HOLDS: "as the book says",
    Verdict.CHANGED: "no longer so: what is true today is shown",
    Verdict.GONE: "the kernel dropped it: the library does it or refuses",
    Verdict.NOT_PERMITTED: "what is missing here is said",
    Verdict.DIFFERS: "neither the book nor our facts say so",
}

_NARROW_COLUMNS = 100
_ID_COLUMNS = 14
_VERDICT_COLUMNS = 13


def machine() -> dict[str, Any]:
    """What the tour ran on, and as whom."""
    libc, version = platform.libc_ver()
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "libc": f"{libc} {version}".strip(),
        "uid": os.geteuid(),
        "privileges": _effective_capabilities(),
    }


def to_json(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """The whole tour as one object, for machines."""
    return {
        "machine": machine(),
        "rows": [
            {
                "id": row.id,
                "group": row.group,
                "statement": row.statement,
                "without": seen.without,
                "with": seen.with_,
                "verdict": str(seen.verdict),
                "detail": seen.detail,
            }
            for row, seen in outcomes
        ],
    }


def show(outcomes: Iterable[Outcome], file: TextIO | None = None) -> list[Outcome]:
    """Print the tour, group by group, as it goes on; returns what was printed."""
    console = Console(file=file, highlight=False)
    plain = not console.is_terminal or "NO_COLOR" in os.environ
    shown: list[Outcome] = []
    _print_head(console)
    for group, members in groupby(outcomes, key=lambda outcome: outcome.row.group):
        rows = list(members)
        shown += rows
        if plain:
            _print_plain(console, group, rows)
        else:
            _print_table(console, group, rows)
    _print_foot(console, shown)
    return shown


def _print_head(console: Console) -> None:
    facts = machine()
    who = "root" if facts["uid"] == 0 else f"uid {facts['uid']}"
    where = f"Linux {facts['kernel']} {facts['architecture']}, Python {facts['python']}, {who}"
    console.print(Text(f"Every clone flag, live: {where}", "bold"), soft_wrap=True)
    for verdict, meaning in _LEGEND.items():
        console.print(Text.assemble("  ", (f"{verdict:<18}", _STYLES[verdict]), "  ", meaning))


def _print_table(console: Console, group: str, rows: list[Outcome]) -> None:
    console.print()
    console.print(Rule(Text(f" {group} ", "bold"), align="left", style="dim"))
    if console.width < _NARROW_COLUMNS:
        for outcome in rows:
            console.print(_stanza(outcome))
        return
    table = Table(box=None, padding=(0, 2, 1, 0), expand=True, header_style="dim")
    table.add_column("", no_wrap=True, min_width=_ID_COLUMNS)
    table.add_column("", no_wrap=True, min_width=_VERDICT_COLUMNS)
    table.add_column("the book says", ratio=4)
    table.add_column("without", ratio=4)
    table.add_column("with", ratio=5)
    for row, seen in rows:
        said = Text(row.statement)
        seen_with = Text(seen.with_)
        if seen.detail:
            seen_with.append(("\n" if seen.with_ else "") + seen.detail, "dim italic")
        name = Text(row.id, "bold cyan")
        table.add_row(name, _verdict(seen.verdict), said, seen.without, seen_with)
    console.print(table)


def _stanza(outcome: Outcome) -> Table:
    """One row on a narrow terminal: a line for each thing that there is to say."""
    row, seen = outcome
    grid = Table(box=None, show_header=False, padding=(0, 1, 0, 0), expand=True)
    grid.add_column(width=8, no_wrap=True, style="dim", justify="right")
    grid.add_column(ratio=1)
    head = Text.assemble((row.id, "bold cyan"), "  ", _verdict(seen.verdict))
    grid.add_row("", head)
    for label, text in _lines(outcome):
        grid.add_row(label, text)
    grid.add_row("", "")
    return grid


def _print_plain(console: Console, group: str, rows: list[Outcome]) -> None:
    console.print()
    console.print(group, markup=False)
    for outcome in rows:
        console.print(f"  {outcome.row.id:<16}{outcome.seen.verdict}", markup=False, soft_wrap=True)
        for label, text in _lines(outcome):
            console.print(f"    {label + ':':<9} {text}", markup=False, soft_wrap=True)


def _lines(outcome: Outcome) -> Iterator[tuple[str, str]]:
    row, seen = outcome
    yield "book", row.statement
    for label, text in (("without", seen.without), ("with", seen.with_), ("note", seen.detail)):
        if text:
            yield label, text


def _print_foot(console: Console, shown: list[Outcome]) -> None:
    counts = Counter(seen.verdict for _, seen in shown)
    total = Text(f"\n{len(shown)} rows: ")
    parts = [Text(f"{counts[v]} {v}", _STYLES[v]) for v in Verdict if counts[v]]
    console.print(total + Text(", ").join(parts), soft_wrap=True)
    missing: dict[str, list[str]] = {}
    for row, seen in shown:
        if seen.verdict == Verdict.NOT_PERMITTED:
            missing.setdefault(seen.detail, []).append(row.id)
    if missing:
        console.print("What this machine cannot show:")
        for why, ids in missing.items():
            console.print(Text.assemble("  ", (", ".join(ids), "bold"), f": {why}"), soft_wrap=True)


def _verdict(verdict: Verdict) -> Text:
    return Text(str(verdict).replace(" here", ""), _STYLES[verdict])


def _effective_capabilities() -> str:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return line.split()[1]
    return ""
