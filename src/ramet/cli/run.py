"""ramet run: a program, in a process that the options set up."""

import os
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from .._kernel.names import signal_number
from .._program.command import Command
from .._setup.options import Options
from .._setup.rows import Shell
from ..errors import KeptGroupsWarning
from ..flags import CloneFlag
from .failures import FAILED, FailedError, tell
from .program_command import (
    ProgramCommand,
    end_by_interrupt,
    exit_code,
    exit_code_of_failure,
    words,
)
from .run_options import ShellOption, from_rows, in_words_of_options, library_options
from .run_readers import Stream, given_descriptors, seconds, stream
from .run_report import Report
from .run_watch import Terminal, Watch, signals_kept

_UNTOLD = CloneFlag.PARENT | CloneFlag.AUTOREAP
_NAME, _RUN = "run", "Time and report"
_OWN = (
    ("--timeout", "TIME", seconds,
        "SIGTERM after that time, to the program and all that it has started: 5, 0.5, 2m, 1h, 1d."),
    ("--kill-after", "TIME", seconds, "SIGKILL that long after, to all of them."),
    ("--json", "FILE|-", lambda text: Stream(1) if text == "-" else stream("write")(text),
        "Report how it ended, and what it used."),
    ("--dry-run", "", str, "Show the steps in their order, and run nothing."),
)  # fmt: skip


class _Run(ProgramCommand):
    own_heading = _RUN


@click.command(
    cls=_Run,
    params=[
        *from_rows(),
        *(
            ShellOption(_RUN, Shell(name, value, text=text), read)
            for name, value, read, text in _OWN
        ),
        click.Argument(["argv"], nargs=-1, type=click.UNPROCESSED, metavar="PROGRAM [ARGS]..."),
    ],
    # What follows the program's name is the program's.
    context_settings={
        "allow_interspersed_args": False,
        "help_option_names": ["-h", "--help"],
    },
    options_metavar="[OPTIONS] [--]",
)
def run(argv: tuple[str, ...], **values: Any) -> None:
    """Run a program in a process that the options set up.

    Its exit status is the program's own, 128+N when signal N killed it; 124 when its time was over
    (137 when it took SIGKILL); 125 when ramet failed, 126 when the program cannot be executed, 127
    when it is not found. Signals reach the program, and what is open stays open.
    """
    if not argv:
        raise FailedError(_NAME, "which program? ramet run [OPTIONS] [--] PROGRAM [ARGS]...")
    report = Report(argv)
    try:
        with ExitStack() as held:
            output = _output(values["json"], held)
            code = _reported(argv, values, report, output)
    except OSError as error:
        raise FailedError(_NAME, words(error)) from None
    if report.interrupted:
        end_by_interrupt()
    sys.exit(code)


def _output(where: Stream | None, held: ExitStack) -> int | None:
    if where is None:
        return None
    return where.opened_within(held)


def _reported(
    argv: tuple[str, ...], values: dict[str, Any], report: Report, output: int | None
) -> int:
    code = FAILED
    try:
        code = _outcome(argv, values, report)
        return code
    except (OSError, ValueError, TypeError, OverflowError) as error:
        code, message = exit_code_of_failure(error), in_words_of_options(words(error))
        report.failed(error, message)
        raise FailedError(_NAME, message, code) from None
    finally:
        if output is not None:
            _write(output, report.text(code).encode())


def _outcome(argv: tuple[str, ...], values: dict[str, Any], report: Report) -> int:
    with signals_kept() as mask, _files(values) as (options, terminal):
        options.update(library_options(values))
        _refuse_what_is_never_told(options)
        _as_the_caller_has_signals(options, mask)
        command = _made(argv, options)
        if values["dry_run"]:
            _show(command)
            return 0
        child = command.spawn()
        report.started(child.pid)
        watch = Watch(child, values["timeout"], values["kill_after"], terminal)
        status = watch.status()
        report.ended(status, timed_out=watch.timed_out)
    return exit_code(status, timed_out=watch.timed_out)


def _made(argv: tuple[str, ...], options: Options) -> Command:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", KeptGroupsWarning)
        command = Command(argv, **options)
    if told:
        tell(
            "ramet run: --user leaves the program in groups of root: --init-groups gives it the user's "
            "own, --group and --groups any others"
        )
    return command


@contextmanager
def _files(values: dict[str, Any]) -> Iterator[tuple[Options, Terminal | None]]:
    """What the options about descriptors have opened, for as long as it is needed."""
    options: Options = {}
    with ExitStack() as held:
        fds = given_descriptors(values["fd"])
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            if values[name] is not None:
                fds[number] = values[name]
        if fds:
            options["fds"] = {number: one.opened_within(held) for number, one in fds.items()}
        if values["controlling_terminal"] is not None:
            options["controlling_terminal"] = values["controlling_terminal"].opened_within(held)
        terminal = None
        if values["foreground"]:
            terminal = Terminal()
            held.callback(terminal.close)
            options["foreground"] = terminal.descriptor
            options["process_group"] = 0
        yield options, terminal


def _refuse_what_is_never_told(options: Options) -> None:
    if untold := CloneFlag(options.get("flags", 0)) & _UNTOLD:
        raise ValueError(
            f"invalid flags: expected none that hide from ramet how the program ends, got {untold}"
        )


def _as_the_caller_has_signals(options: Options, mask: set[Any]) -> None:
    """We block all of them, and must not ignore SIGCHLD: the program gets what we were given."""
    options.setdefault("signal_mask", mask)
    ignored = signal.signal(signal.SIGCHLD, signal.SIG_DFL) is signal.SIG_IGN
    defaults = map(signal_number, options.get("default_signals", ()))
    if ignored and signal.SIGCHLD not in defaults:
        options["ignored_signals"] = [signal.SIGCHLD, *options.get("ignored_signals", ())]


def _show(command: Command) -> None:
    click.echo(f"clone  {command.flags}")
    *steps, (last, _) = command.steps
    for step, file in steps:
        click.echo(step if file is None else f"{step}  {file}")
    click.echo(f"{last}  {shlex.join(command.argv)}")


def _write(descriptor: int, text: bytes) -> None:
    try:
        while text:
            text = text[os.write(descriptor, text) :]
    except OSError as error:
        raise FailedError(_NAME, f"--json: {error.strerror}") from None
