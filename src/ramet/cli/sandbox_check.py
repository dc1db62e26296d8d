"""The plan of a sandbox on this machine, as a table or as JSON."""

import json
import sys

import click
from rich.table import Table
from rich.text import Text

from .._sandbox.amounts import Amounts
from .._sandbox.description import Sandbox
from .._sandbox.plan import Plan, plan
from .._sandbox.row import Row
from ..tour.colours import ALARM, AMBER, GREEN, NAME, NOTE, console_for
from .sandbox_options import in_words_of_options

_MARKS = {"fully": ("yes", GREEN), "partly": ("partly", AMBER), "not": ("no", ALARM)}


def show(description: Sandbox, *, as_json: bool) -> bool:
    """Print it. Returns whether the sandbox would be made."""
    with Amounts(description) as amounts:
        found = plan(description, amounts.mechanisms())
        rows = found.rows
    starts = not any(found.refuses(row) for row in rows)
    if as_json:
        listed = [_as_object(row) for row in rows]
        click.echo(json.dumps({"starts": starts, "wishes": listed}, indent=2))
    else:
        _print(rows, starts=starts)
    return starts
