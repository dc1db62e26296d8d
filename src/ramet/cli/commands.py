"""The group that every command belongs to."""

import click

from .. import __version__
from .tour import tour


@click.group()
@click.version_option(__version__, prog_name="ramet")
def ramet() -> None:
    """Make processes on Linux, flag by flag."""


ramet.add_command(tour)
