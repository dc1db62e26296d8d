"""The commands under one name."""

import click

from .. import __version__
from .tour import tour


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def ramet() -> None:
    """Processes on Linux, flag by flag."""


ramet.add_command(tour)
