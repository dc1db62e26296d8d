"""ramet tour: every flag and every statement, tried on the running kernel."""

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from typing import TextIO

import click
from rich.console import Console

from ..tour import machine, picture, run, table
from ..tour.colours import console_for
from ..tour.programs import program_of
from ..tour.row import Row, Verdict


@click.command()
@click.argument("rows", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--svg",
    type=click.File("w", encoding="utf-8", lazy=False),  # an invalid place is told at once
    metavar="FILE",
    help="Draw the table into this file; - is the standard output.",
)
@click.option(
    "--only",
    metavar="VM,tls",
    help="Some rows: flags without CLONE_, statements by number (P1 to P14, K1 to K5) or word (tls, cow).",
)
@click.option(
    "--code",
    metavar="VM,tls",
    help="Print the program of each of these rows, to paste and run.",
)
def tour(
    rows: tuple[str, ...], *, as_json: bool, svg: TextIO | None, only: str | None, code: str | None
) -> None:
    """Show on the running kernel what each clone flag does.

    ROWS are as for --only, by default all. Each row makes real tasks, without the flag
    and with it, and says what it saw. The exit status is 1 when a row DIFFERS from the
    book and from Ramet's facts.
    """
    if code is not None:
        others = (as_json, rows, svg is not None, only is not None)
        _print_programs(_selected([code], "--code"), any(others))
        return
    names = [*rows, *([] if only is None else [only])]
    chosen = _selected(names, "--only") if names else run.all_rows()
    facts = machine.describe()
    if as_json and svg is not None:
        raise click.UsageError("--json and --svg are two forms of the same table: use one")
    if as_json:
        outcomes = list(run.run(chosen))
        click.echo(table.to_json(outcomes, facts))
    else:
        outcomes = list(_watched(run.run(chosen), chosen, console_for(sys.stderr)))
        if svg is None:
            table.show(console_for(sys.stdout), outcomes, facts)
        else:
            svg.write(picture.svg(outcomes, facts))
    sys.exit(int(any(outcome.seen.verdict is Verdict.DIFFERS for outcome in outcomes)))


def _selected(names: Iterable[str], option: str) -> tuple[Row, ...]:
    try:
        return run.select_rows(run.all_rows(), ",".join(names).split(","))
    except run.UnknownRowError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def _print_programs(rows: Iterable[Row], has_others: bool) -> None:
    if has_others:
        raise click.UsageError("--code runs nothing: use it without other options")
    click.echo("\n\n".join(program_of(row.id) for row in rows), nl=False)


def _watched(
    outcomes: Iterable[run.Outcome], rows: tuple[Row, ...], console: Console
) -> Iterable[run.Outcome]:
    """The outcomes as they come; a terminal shows the progress."""
    interactive = console.is_interactive and console.color_system is not None
    with console.status("") if interactive else nullcontext() as status:
        for done, outcome in enumerate(outcomes, 1):
            if status is not None:
                status.update(f"{done} of {len(rows)} rows, {outcome.row.id} seen")
            yield outcome
