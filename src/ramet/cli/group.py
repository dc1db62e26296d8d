"""The commands under one name."""

import difflib
from importlib import import_module
from typing import Any

import click

from .. import __version__
from .failures import told_alike

# Each is in the module of its name, which is imported when its command runs: importing all would
# slow each.
_COMMANDS = ("explain", "law", "memory", "run", "sandbox", "tour", "trace", "tree")


class _Commands(click.Group):
    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """As it is, but for how a failure is told."""
        with told_alike():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """The same, for all commands."""
        with told_alike(ctx):
            return super().invoke(ctx)

    def list_commands(self, _: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(_COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """The command of that name."""
        if name not in _COMMANDS:
            close = difflib.get_close_matches(name, _COMMANDS, n=1)
            hint = f"did you mean '{close[0]}'?" if close else "a program is run by 'ramet run'"
            raise click.UsageError(f"there is no command {name!r}: {hint}")
        found = getattr(import_module(f".{name}", __package__), name)
        assert isinstance(found, click.Command)
        return found


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def ramet() -> None:
    """Processes on Linux, flag by flag."""
