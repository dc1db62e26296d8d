"""How a failure is told: in one line that begins with the command, as GNU's programs do it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

FAILED = 125  # of a command that runs a program, as env(1) has it

_HELP = getattr(click.exceptions, "NoArgsIsHelpError", ())  # since click 8.2


class FailedError(click.ClickException):
    """Why a command has not done what was asked for: one line, and an exit status."""

    def __init__(self, command: str | None, message: str, exit_code: int = FAILED) -> None:
        super().__init__(" ".join(message.split()))
        self._command = f"ramet {command}" if command else "ramet"
        self.exit_code = exit_code  # type: ignore[misc] # click reads it from the instance

    def show(self, file: Any = None) -> None:  # noqa: ARG002 # click gives none
        """Print the line."""
        tell(f"{self._command}: {self.message}")


@contextmanager
def told_alike(context: click.Context | None = None) -> Iterator[None]:
    """Tell click's own errors in the same form, with their exit statuses.

    context: of the command, where the error may not know it.
    """
    try:
        yield
    except FailedError:
        raise
    except click.ClickException as error:
        if isinstance(error, _HELP):
            raise
        context = getattr(error, "ctx", None) or context
        raise FailedError(_name(context), error.format_message(), error.exit_code) from None


def _name(context: click.Context | None) -> str:
    """What stands behind ``ramet`` on the command line."""
    if context is None:
        return ""
    words = context.command_path.split()[1:]
    return " ".join([*words, *filter(None, [context.invoked_subcommand])])


def tell(text: str) -> None:
    """Print it on standard error; a full one takes nothing, and the exit status counts."""
    try:
        click.echo(text, err=True)
    except OSError:
        # What it still holds would fail once more at the end, with a status of its own.
        sys.stderr = None
