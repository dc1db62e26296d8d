"""Shows the tour: as a table on a wide terminal, as a list on a narrow one, as JSON for machines."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from .colours import ALARM, AMBER, GREEN, GREY, HEADING, NAME, NOTE, PURPLE
from .row import Verdict
from .run import Outcome

_WIDE_COLUMNS = 120
_ID_COLUMNS = len("CHILD_CLEARTID")
_VERDICT_COLUMNS = len("not permitted")
_INDENT = _ID_COLUMNS + 2

_STYLES = {
    Verdict.HOLDS: GREEN,
    Verdict.CHANGED: AMBER,
    Verdict.GONE: PURPLE,
    Verdict.NOT_PERMITTED: GREY,
    Verdict.DIFFERS: ALARM,
}
_MEANINGS = {
    Verdict.HOLDS: " as the book says",
    Verdict.CHANGED: " since then",
    Verdict.GONE: " from the kernel, done by the library",
    Verdict.NOT_PERMITTED: "",
    Verdict.DIFFERS: " from the book and from our facts",
}


def show(console: Console, outcomes: Sequence[Outcome], machine: Mapping[str, str]) -> None:
    """Print the rows in their groups, what the verdicts mean, and what could not be shown."""
    if console.color_system is not None:
        console.print(*_parts(console, outcomes, machine), sep="\n")
        return
    # Cells are padded to their width, which is only noise in a file.
    with console.capture() as captured:
        console.print(*_parts(console, outcomes, machine), sep="\n")
    console.file.writelines(line.rstrip() + "\n" for line in captured.get().splitlines())


def _parts(
    console: Console, outcomes: Sequence[Outcome], machine: Mapping[str, str]
) -> Iterator[RenderableType]:
    yield _machine_line(machine)
    yield _legend()
    yield ""
    wide = console.width >= _WIDE_COLUMNS
    if wide:
        yield _column_titles()
    arrange = _table if wide else _list
    for group, members in groupby(outcomes, lambda outcome: outcome.row.group):
        yield _heading(group, plain=console.color_system is None)
        yield arrange(members)
    yield _summary(outcomes)


def to_json(outcomes: Iterable[Outcome], machine: Mapping[str, str]) -> str:
    """An object with the machine and the rows."""
    rows = [
        {
            "id": row.id,
            "group": row.group,
            "statement": row.statement,
            "without": seen.without,
            "with": seen.with_,
            "verdict": seen.verdict.value,
            "detail": seen.detail,
        }
        for row, seen in outcomes
    ]
    return json.dumps({"machine": dict(machine), "rows": rows}, indent=2)


# ---- above the rows


def _machine_line(machine: Mapping[str, str]) -> Text:
    return Text.assemble(
        ("Linux " + machine["kernel"], HEADING),
        f" on {machine['architecture']}, {machine['libc']}, Python {machine['python']}, "
        f"as {machine['user']} with {machine['privileges']}",
    )


def _legend() -> Text:
    entries = [
        Text.assemble((verdict.value, _STYLES[verdict]), meaning)
        for verdict, meaning in _MEANINGS.items()
    ]
    return Text.assemble("verdicts: ", Text(", ").join(entries))


def _heading(group: str, *, plain: bool) -> RenderableType:
    if plain:
        return Text(group.upper())
    return Rule(Text(group, style=HEADING), align="left", style=NOTE)


# ---- wide


def _table(outcomes: Iterable[Outcome]) -> Table:
    table = _columns(blank_lines=1)
    for row, seen in outcomes:
        note = [("\n" + seen.detail, NOTE)] if seen.detail else []
        table.add_row(
            Text(row.id, style=NAME),
            Text.assemble(row.statement, *note),
            Text(seen.without),
            Text(seen.with_),
            _verdict(seen.verdict),
        )
    return table


def _column_titles() -> Table:
    titles = _columns(blank_lines=0)
    titles.add_row("", "what the book says", "seen without", "seen with", "verdict", style=NOTE)
    return titles


def _columns(blank_lines: int) -> Table:
    """The same columns for every group, so that they stand in line."""
    table = Table(box=None, show_header=False, expand=True, padding=(0, 2, blank_lines, 0))
    table.add_column(width=_ID_COLUMNS)
    for _ in range(3):
        table.add_column(ratio=1, overflow="fold")
    table.add_column(width=_VERDICT_COLUMNS)
    return table


# ---- narrow


def _list(outcomes: Iterable[Outcome]) -> Group:
    return Group(*(Padding(Group(*_entry(outcome)), (0, 0, 1, 0)) for outcome in outcomes))


def _entry(outcome: Outcome) -> Iterator[RenderableType]:
    row, seen = outcome
    title = Table.grid(padding=(0, 2, 0, 0), expand=True)
    title.add_column(width=_ID_COLUMNS, style=NAME)
    title.add_column(ratio=1)
    title.add_column(justify="right")
    title.add_row(row.id, Text(row.statement), _verdict(seen.verdict))
    yield title
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(style=NOTE, width=len("without"))
    lines.add_column(overflow="fold")
    for label, text in (("without", seen.without), ("with", seen.with_)):
        if text:
            lines.add_row(label, Text(text))
    if seen.detail:
        lines.add_row("note", Text(seen.detail, style=NOTE))
    yield Padding(lines, (0, 0, 0, _INDENT))


# ---- below the rows


def _verdict(verdict: Verdict) -> Text:
    return Text(verdict.value, style=_STYLES[verdict])


def _summary(outcomes: Sequence[Outcome]) -> Group:
    missing: dict[str, list[str]] = {}
    for row, seen in outcomes:
        if seen.verdict is Verdict.NOT_PERMITTED:
            missing.setdefault(seen.detail, []).append(row.id)
    parts: list[RenderableType] = []
    if missing:
        parts.append(Text("This machine, or this user, cannot show:", style=HEADING))
        for reason, ids in missing.items():
            line = Text.assemble((", ".join(ids), NAME), f": {reason}")
            parts.append(Padding(line, (0, 0, 0, 2)))
    parts.append(_counts(outcomes))
    return Group(*parts)


def _counts(outcomes: Sequence[Outcome]) -> Text:
    numbers = Counter(outcome.seen.verdict for outcome in outcomes)
    rows = f"{len(outcomes)} row{'s' * (len(outcomes) != 1)}: "
    counted = [
        Text(f"{numbers[verdict]} {verdict.value}", style=_STYLES[verdict])
        for verdict in Verdict
        if numbers[verdict]
    ]
    return Text.assemble((rows, HEADING), Text(", ").join(counted))
