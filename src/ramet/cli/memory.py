"""ramet memory: what processes share with those that they were copied from, and what is their own."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from .._kernel import procfs
from ..observe import ChildMemory, Memory
from ..observe import memory as memory_of
from ..observe.memory_report import total
from ..tour.colours import NAME, NOTE, console_for
from .failures import FailedError, tell
from .pid import PID
from .trace_words import shown as in_one_line

_MAPPINGS = 10
_COLUMNS = ("resident", "PSS", "shared", "own", "copied", "new")
_LEAST_NAME = 12  # columns
_MIB = 1 << 20


@click.command(short_help="Show what processes share with their origin, and what is their own.")
@click.argument("pids", metavar="PID...", nargs=-1, required=True, type=PID)
@click.option("--children", is_flag=True, help="The children of each PID, instead of it.")
@click.option(
    "--origin",
    type=PID,
    metavar="PID",
    help="The process that they were copied from; by default the parent of each.",
)
@click.option(
    "--mappings",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"Show the N largest mappings of each; by default {_MAPPINGS} for one process, none for several.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: all mappings, sizes in bytes.")
def memory(
    pids: tuple[int, ...],
    *,
    children: bool,
    origin: int | None,
    mappings: int | None,
    as_json: bool,
) -> None:
    """Show what processes share with the one that they were copied from, and what is their own.

    A page that only one process maps is its own: it was copied when one of the two wrote to it, or is new.
    All that is read may be read by the user whose processes they are. The exit status is 1 when one of
    them has ended or may not be read.
    """
    try:
        memory_of([], origin=origin)
    except (OSError, ValueError) as error:
        raise click.BadParameter(_words(error), param_hint="--origin") from None
    asked = list(_children_of(pids)) if children else list(pids)
    reports = [report for pid in asked if (report := _looked_at(pid, origin)) is not None]
    if as_json:
        click.echo(json.dumps([report.to_dict() for report in reports], indent=2))
    elif reports:
        shown = mappings if mappings is not None else _MAPPINGS if len(reports) == 1 else 0
        _show(reports, shown)
    sys.exit(int(len(reports) < len(asked)))


def _children_of(pids: Iterable[int]) -> Iterator[int]:
    for pid in pids:
        found = procfs.children(pid)
        if not found:
            raise FailedError("memory", f"process {pid} has no children, or has ended", 1)
        yield from found


def _looked_at(pid: int, origin: int | None) -> ChildMemory | None:
    try:
        (report,) = memory_of([pid], origin=origin, types=False)
    except (OSError, ValueError) as error:
        tell(f"ramet memory: {_words(error)}")
        return None
    return report


def _words(error: OSError | ValueError) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else str(error)


def _show(reports: list[ChildMemory], mappings: int) -> None:
    console = console_for(sys.stdout)
    table = _table("process", *_COLUMNS, "tables", "copied from")
    for report in reports:
        origin = "-" if report.origin is None else str(report.origin)
        if report.same_memory:
            origin += ", the same memory"
        table.add_row(_name(report.pid), *_cells(report), _mib(report.page_tables), origin)
    console.print(table)
    console.print(Text("in MiB; a - is not known", style=NOTE))
    for report in reports:
        for what, why in report.unknown.items():
            console.print(Text(f"{report.pid}: {what} not known: {why}", style=NOTE))
        if mappings:
            console.print()
            console.print(_mappings(report, mappings))


def _mappings(report: ChildMemory, most: int) -> Table:
    """The mappings with the most that is its own; those of one file as one."""
    table = _table(f"mapping of {report.pid}", *_COLUMNS)
    groups: dict[str, list[Memory]] = {}
    for mapping in report.mappings:
        name = mapping.name or f"anonymous {mapping.start:x}-{mapping.end:x}"
        groups.setdefault(name, []).append(mapping)
    rows = [(name, total(group)) for name, group in groups.items()]
    rows.sort(key=lambda row: (-row[1].own, -row[1].resident))
    for name, sizes in rows[:most]:
        table.add_row(Text(in_one_line(name), style=NAME), *_cells(sizes))
    if rows[most:]:
        rest = total(sizes for _, sizes in rows[most:])
        table.add_row(Text(f"{len(rows) - most} more", style=NOTE), *_cells(rest))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=NOTE)
    table.add_column(first, overflow="fold", min_width=_LEAST_NAME)
    for title in others:
        table.add_column(title, justify="right")
    return table


def _cells(sizes: Memory) -> list[str]:
    """What stands in _COLUMNS."""
    new = None if sizes.copied is None else sizes.own - sizes.copied
    shown = (sizes.resident, sizes.pss, sizes.shared, sizes.own, sizes.copied, new)
    return [_mib(size) for size in shown]


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size / _MIB:.2f}"


def _name(pid: int) -> Text:
    """The pid with what ps calls the task."""
    try:
        comm = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # it has ended since
        comm = ""
    return Text.assemble((str(pid), NAME), f" {in_one_line(comm)}")
