"""The options of a command that draws: where to, and in which colours."""

from pathlib import Path
from typing import get_args

import click

from ..law.svg import Theme

theme_option = click.option(
    "--theme",
    type=click.Choice(get_args(Theme)),
    default="auto",
    help="The picture's colours; by default those that its viewer prefers.",
)


def write_picture(picture: str, place: str) -> None:
    """Into this file, or to the standard output for -."""
    if place == "-":
        click.echo(picture, nl=False)
        return
    try:
        Path(place).write_text(picture, encoding="utf-8")
    except OSError as error:
        raise click.FileError(place, error.strerror or "") from None
