"""`ramet tour`: the live proof of every flag."""

import json
import sys

import click

from ..tour.row import Verdict
from ..tour.run import UnknownRowError, all_rows, run, select_rows
from ..tour.table import show, to_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one object, for machines.")
@click.option("--only", metavar="IDS", help="Some rows only, such as VM,FS,P7.")
def tour(as_json: bool, only: str | None) -> None:
    """Show every clone flag, and every statement of the classic page, at work on this kernel.

    For each, real tasks are made, one without and one with it. Exits with 1 when the kernel did what
    neither the book nor our facts say.
    """
    rows = all_rows()
    if only is not None:
        try:
            rows = select_rows(rows, only.split(","))
        except UnknownRowError as unknown:
            raise click.BadParameter(str(unknown), param_hint="--only") from None
    if as_json:
        outcomes = list(run(rows))
        click.echo(json.dumps(to_json(outcomes), indent=2, ensure_ascii=False))
    else:
        outcomes = show(run(rows))
    if any(seen.verdict == Verdict.DIFFERS for _, seen in outcomes):
        sys.exit(1)
