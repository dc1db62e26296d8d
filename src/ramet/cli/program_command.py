"""What the commands that run a program share: exit statuses, and help by headings."""

import ast
import errno
import os
import re
import shlex
import signal
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from ..errors import CloneError, SandboxError, SpawnError
from ..exit_status import ExitStatus
from .failures import FAILED, FailedError
from .run_options import ShellOption

# As env(1) and timeout(1) have them.
TIMED_OUT, _NOT_EXECUTABLE, _NOT_FOUND, KILLED = 124, 126, 127, 128


class ProgramCommand(click.Command):
    """A command whose first argument that is no option begins a program with its own arguments."""

    own_heading = "Options"  # as click has it
    names_here: Mapping[str, str] = {}  # what is to be given here for an option of other programs

    def make_context(self, info_name: str | None, *args: Any, **more: Any) -> click.Context:
        """As it is, but a wrong option is ours to tell: 2 may be the program's exit status."""
        try:
            return super().make_context(info_name, *args, **more)
        except click.NoSuchOption as error:
            raise FailedError(info_name, self._in_our_words(error, more.get("parent"))) from None
        except click.UsageError as error:
            raise FailedError(info_name, error.format_message()) from None

    def _in_our_words(self, error: click.NoSuchOption, group: click.Context | None) -> str:
        name = error.option_name
        if name in self.names_here:
            return f"No such option '{name}': {self.names_here[name]}"
        other = _who_has(name, group)
        return (
            f"No such option '{name}' here; ramet {other} has it"
            if other
            else error.format_message()
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Heading by heading."""
        headings: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and not isinstance(param, click.Argument):
                heading = param.heading if isinstance(param, ShellOption) else self.own_heading
                headings.setdefault(heading, []).append(record)
        for heading, records in headings.items():
            with formatter.section(heading):
                formatter.write_dl(records, col_max=26)


def _who_has(option: str, group: click.Context | None) -> str:
    """The first other command of the group that runs a program and has this option; empty for none."""
    commands = group.command if group is not None else None
    if group is None or not isinstance(commands, click.Group):
        return ""
    for name in commands.list_commands(group):
        command = commands.get_command(group, name)
        if isinstance(command, ProgramCommand) and any(
            option in one.opts for one in command.params
        ):
            return name
    return ""


def exit_code(status: ExitStatus, *, timed_out: bool) -> int:
    """That of the command for a program that ended so."""
    if timed_out and status.signal != signal.SIGKILL:
        return TIMED_OUT
    if status.signal is not None:
        return KILLED + status.signal
    return FAILED if status.code is None else status.code


def exit_code_of_failure(error: Exception) -> int:
    """That of the command for a program that was not started."""
    if not (isinstance(error, SpawnError) and error.step == "execve"):
        return FAILED
    return _NOT_FOUND if error.errno == errno.ENOENT else _NOT_EXECUTABLE


def words(error: Exception) -> str:
    """What is told of an error."""
    if not isinstance(error, OSError) or isinstance(error, CloneError | SpawnError | SandboxError):
        return _WORDS_GIVEN.sub(_as_typed, str(error))
    name = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"{name}{error.strerror}"


_WORDS_GIVEN = re.compile(r"pass its words (\[.*\]), or use a shell \(shell=True, sh -c\)")


def _as_typed(found: re.Match[str]) -> str:
    given = ast.literal_eval(found[1])
    return (
        f"give its words without quotes around all of them: {shlex.join(given)}; or a shell: "
        f"sh -c {shlex.quote(' '.join(given))}"
    )


def end_by_interrupt() -> NoReturn:
    """As a program that Ctrl-C ends must, so that a shell's loop around it ends as well."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.kill(os.getpid(), signal.SIGINT)
    sys.exit(KILLED + signal.SIGINT)  # where it is blocked from outside
