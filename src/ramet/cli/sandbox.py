"""ramet sandbox: a program that is not trusted, and what this machine can keep of it."""

import errno
import json
import os
import signal
import sys
from operator import attrgetter
from typing import Any, NoReturn

import click

from .._program.command import Command
from .._sandbox.description import Sandbox
from .._sandbox.plan import Plan
from ..errors import SpawnError
from ..exit_status import ExitStatus
from .sandbox_options import SandboxOption, described, shell_options

# As `ramet run` has them.
_TIMED_OUT, _FAILED, _NOT_EXECUTABLE, _NOT_FOUND, _KILLED = 124, 125, 126, 127, 128


class _Failed(click.ClickException):
    """Why nothing was run: one line, and an exit status."""

    def __init__(self, message: str, exit_code: int = _FAILED) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code  # type: ignore[misc] # click reads it from the instance

    def show(self, file: Any = None) -> None:
        """Print the line."""
        click.echo(f"ramet sandbox: {self.message}", file=file or sys.stderr)


class _Sandbox(click.Command):
    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """As it is, but a wrong option is ours to tell: 2 may be the program's exit status."""
        try:
            return super().make_context(*args, **more)
        except click.UsageError as error:
            raise _Failed(error.format_message()) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Heading by heading."""
        headings: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and not isinstance(param, click.Argument):
                heading = param.heading if isinstance(param, SandboxOption) else "This machine"
                headings.setdefault(heading, []).append(record)
        for heading, records in headings.items():
            with formatter.section(heading):
                formatter.write_dl(records, col_max=26)


@click.command(
    cls=_Sandbox,
    params=[
        *shell_options(),
        click.Option(
            ["--check"], is_flag=True, help="Say by what each wish is met here, and run nothing."
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="With --check: as JSON."),
        click.Argument(["argv"], nargs=-1, type=click.UNPROCESSED, metavar="PROGRAM [ARGS]..."),
    ],
    context_settings={
        "allow_interspersed_args": False,
        "help_option_names": ["-h", "--help"],
    },
    options_metavar="[OPTIONS] [--]",
)
def sandbox(argv: tuple[str, ...], check: bool, as_json: bool, **given: Any) -> None:
    """Run a program that sees, calls and uses no more than the options say.

    Without options: the programs and libraries of this machine, a private /tmp, no network. The exit
    status is the program's own, 128+N when signal N killed it; 124 when its time was over; 125 when
    ramet failed or this machine cannot do what is wished, 126 when the program cannot be executed,
    127 when it is not found. --check: 0 when all can be done, else 125.
    """
    try:
        wished = described(given)
        if check:
            sys.exit(_checked(wished.plan(), as_json=as_json))
        if as_json:
            raise _Failed("--json goes with --check")
        if not argv:
            raise _Failed("which program? ramet sandbox [OPTIONS] [--] PROGRAM [ARGS]...")
        code = _run(argv, wished)
    except KeyboardInterrupt:
        _end_by_interrupt()
    except SpawnError as error:
        raise _Failed(str(error), _code_of(error)) from None
    except (OSError, ValueError, TypeError) as error:
        raise _Failed(str(error)) from None
    sys.exit(code)


def _checked(found: Plan, *, as_json: bool) -> int:
    told = found.to_dict()
    click.echo(json.dumps(told, indent=2) if as_json else str(found))
    return 0 if told["starts"] else _FAILED


def _run(argv: tuple[str, ...], wished: Sandbox) -> int:
    options: Any = {"sandbox": wished}
    with Command(argv, **options).spawn() as child:
        status = child.wait()
    report: Any = getattr(child, "report", None)
    for row in filter(attrgetter("is_short"), getattr(report, "lost", ())):
        click.echo(f"ramet sandbox: lost: {row.wish}: {row.shortfall}", err=True)
    if status.reason not in ("exited", "signaled"):
        click.echo(f"ramet sandbox: ended: {status.reason}", err=True)
    return _exit_code(status)


def _exit_code(status: ExitStatus) -> int:
    if status.reason == "deadline":
        return _TIMED_OUT
    if status.signal is not None:
        return _KILLED + status.signal
    return _FAILED if status.code is None else status.code


def _code_of(error: SpawnError) -> int:
    if error.step != "execve":
        return _FAILED
    return _NOT_FOUND if error.errno == errno.ENOENT else _NOT_EXECUTABLE


def _end_by_interrupt() -> NoReturn:
    """As a program that Ctrl-C ends must, so that a shell's loop around it ends as well."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    sys.exit(_KILLED + signal.SIGINT)  # where it is blocked from outside
