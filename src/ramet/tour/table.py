"""Shows the tour: as a table on a wide terminal, as a list on a narrow one, as JSON for machines."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from .colours import ALARM, AMBER, GREEN, GREY, HEADING, NAME, NOTE, PURPLE
from .row import Row, Seen, Verdict
from .run import Outcome

_WIDE_COLUMNS, _COLUMNS_WITH_NOTES = 120, 170
_ID_COLUMNS = len("CHILD_CLEARTID")
_VERDICT_COLUMNS = len("needs Linux 7.1")
_INDENT = _ID_COLUMNS + 2

_STYLES = {
    Verdict.HOLDS: GREEN,
    Verdict.CHANGED: AMBER,
    Verdict.GONE: PURPLE,
    Verdict.NOT_PERMITTED: GREY,
    Verdict.TOO_OLD: GREY,
    Verdict.DIFFERS: ALARM,
}
_NOT_SHOWN = {
    Verdict.NOT_PERMITTED: "This machine, or this user, cannot show:",
    Verdict.TOO_OLD: "This kernel is too old to show:",
}
_MEANINGS = {
    Verdict.HOLDS: " as the book says",
    Verdict.CHANGED: " since then",
    Verdict.GONE: " from the kernel, provided by the library",
    Verdict.NOT_PERMITTED: "",
    Verdict.TOO_OLD: "",
    Verdict.DIFFERS: " from the book and from our facts",
}


def show(console: Console, outcomes: Sequence[Outcome], machine: Mapping[str, str]) -> None:
    """Print the rows in their groups, the meaning of the verdicts, and what could not be shown."""
    if console.color_system is not None:
        console.print(*_parts(console, outcomes, machine), sep="\n")
        return
    # Cells are padded to their width, which a file does not need.
    with console.capture() as captured:
        console.print(*_parts(console, outcomes, machine), sep="\n")
    console.file.writelines(line.rstrip() + "\n" for line in captured.get().splitlines())


def _parts(
    console: Console, outcomes: Sequence[Outcome], machine: Mapping[str, str]
) -> Iterator[RenderableType]:
    yield _machine_line(machine)
    yield _legend()
    yield ""
    arrange: Callable[[Iterable[Outcome]], RenderableType] = _list
    if console.width >= _WIDE_COLUMNS:
        has_notes = console.width >= _COLUMNS_WITH_NOTES
        yield _column_titles(has_notes)
        arrange = partial(_table, has_notes)
    for group, members in groupby(outcomes, lambda outcome: outcome.row.group):
        yield _heading(group, plain=console.color_system is None)
        yield arrange(members)
    yield _summary(outcomes)


def to_json(outcomes: Iterable[Outcome], machine: Mapping[str, str]) -> str:
    """An object with the machine and the rows."""
    rows = [
        {
            "id": row.id,
            "word": row.word,
            "group": row.group,
            "statement": row.statement,
            "without": seen.without,
            "with": seen.with_,
            "verdict": seen.verdict.value,
            "needs": seen.needs,
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


def _table(has_notes: bool, outcomes: Iterable[Outcome]) -> Table:
    """Notes have their own column, or stand below what was seen."""
    table = _columns(has_notes, blank_lines=1)
    for row, seen in outcomes:
        note = Text(seen.detail, style=NOTE)
        with_ = Text(seen.with_)
        if note and not has_notes:
            # A label as well as a colour, since there may be no colour.
            labelled = Text.assemble("note: ", note, style=NOTE)
            with_ = Text("\n").join(part for part in (with_, labelled) if part)
        cells = [_name(row), Text(row.statement), Text(seen.without), with_]
        table.add_row(*cells, *([note] if has_notes else []), _verdict(seen))
    return table


def _column_titles(has_notes: bool) -> Table:
    titles = _columns(has_notes, blank_lines=0)
    seen = ["seen without", "seen with", *(["notes"] if has_notes else [])]
    titles.add_row("", "what the book says", *seen, "verdict", style=NOTE)
    return titles


def _columns(has_notes: bool, blank_lines: int) -> Table:
    """The same columns for every group, so that they are aligned."""
    table = Table(box=None, show_header=False, expand=True, padding=(0, 2, blank_lines, 0))
    table.add_column(width=_ID_COLUMNS)
    for _ in range(3 + has_notes):
        table.add_column(ratio=1, overflow="fold")
    table.add_column(width=_VERDICT_COLUMNS)
    return table


# ---- narrow


def _list(outcomes: Iterable[Outcome]) -> Group:
    return Group(*(Padding(Group(*_entry(outcome)), (0, 0, 1, 0)) for outcome in outcomes))


def _entry(outcome: Outcome) -> Iterator[RenderableType]:
    row, seen = outcome
    title = Table.grid(padding=(0, 2, 0, 0), expand=True)
    title.add_column(width=_ID_COLUMNS)
    title.add_column(ratio=1)
    title.add_column(justify="right")
    title.add_row(_name(row), Text(row.statement), _verdict(seen))
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


def _name(row: Row) -> Text:
    """A flag's name, or a statement's number and word, as --only takes them."""
    return Text.assemble((row.id, NAME), f" {row.word}" if row.word else "")


def _verdict(seen: Seen) -> Text:
    return Text(seen.verdict_told, style=_STYLES[seen.verdict])


def _summary(outcomes: Sequence[Outcome]) -> Group:
    parts: list[RenderableType] = []
    for verdict, heading in _NOT_SHOWN.items():
        missing: dict[str, list[str]] = {}
        for row, seen in outcomes:
            if seen.verdict is verdict:
                missing.setdefault(seen.detail, []).append(row.id)
        if missing:
            parts.append(Text(heading, style=HEADING))
        for reason, ids in missing.items():
            line = Text.assemble((", ".join(ids), NAME), f": {reason}")
            parts.append(Padding(line, (0, 0, 0, 2)))
    parts.append(_counts(outcomes))
    return Group(*parts)


def _of_many(verdict: Verdict, rows: int) -> str:
    """The verdict in the singular or plural of its verb."""
    plural = {
        Verdict.HOLDS: "hold",
        Verdict.TOO_OLD: "need a newer Linux",
        Verdict.DIFFERS: "DIFFER",
    }
    return verdict.value if rows == 1 else plural.get(verdict, verdict.value)


def _counts(outcomes: Sequence[Outcome]) -> Text:
    numbers = Counter(outcome.seen.verdict for outcome in outcomes)
    rows = f"{len(outcomes)} row{'s' * (len(outcomes) != 1)}: "
    counted = [
        Text(f"{numbers[verdict]} {_of_many(verdict, numbers[verdict])}", style=_STYLES[verdict])
        for verdict in Verdict
        if numbers[verdict]
    ]
    return Text.assemble((rows, HEADING), Text(", ").join(counted))
