"""Writes docs/reference/commands.md from the help of the commands.

`make pages` runs it; a test compares what it would write with what is there.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from ramet.cli.group import ramet

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "commands.md"
NOTICE = "<!-- Made by build-aux/command_page.py from the help of src/ramet/cli: change that. -->"
LEAD = "What `ramet` and its commands say with `--help`. They come with the extra `cli`."


def page() -> str:
    """The text of the page."""
    return "\n\n".join(["# The commands", NOTICE, LEAD, *sections(ramet, ("ramet",))]) + "\n"


def sections(command: click.Command, words: tuple[str, ...]) -> Iterator[str]:
    # Its own width, not that of a terminal: the page is the same wherever it is made.
    done = CliRunner(env={"COLUMNS": "88"}).invoke(
        ramet, [*words[1:], "--help"], prog_name="ramet", terminal_width=88, color=False
    )
    yield f"## {' '.join(words)}\n\n```\n{done.output.rstrip()}\n```"
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), name)
            if found is not None:
                yield from sections(found, (*words, name))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
