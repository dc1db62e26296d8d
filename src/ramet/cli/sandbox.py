"""ramet sandbox: a program that may see, call and use no more than the options say."""

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NoReturn

import click

from .._process.child import Child
from .._program.command import Command
from .._sandbox.description import Sandbox
from .._sandbox.files.sight import as_seen_from_here
from .._sandbox.kept import confinement_of
from .._sandbox.of_program import OfProgram
from .._sandbox.overlay.changes import Changes
from .._sandbox.planning.plan import Plan
from .._setup.rows import Shell
from ..errors import SpawnError
from ..exit_status import ExitStatus
from .failures import FAILED, FailedError, tell
from .program_command import (
    TIMED_OUT,
    ProgramCommand,
    end_by_interrupt,
    exit_code,
    exit_code_of_failure,
    words,
)
from .run_options import ShellOption
from .run_readers import READERS, given_descriptors
from .run_watch import signals_kept
from .sandbox_elsewhere import NAMES_HERE
from .sandbox_options import in_words_of_options, options, sandbox_of, set_variables
from .sandbox_report import told, told_as_json, told_in_short
from .sandbox_watch import SessionWatch, counted_output

if TYPE_CHECKING:
    from .._setup.options import Options

_NAME = "sandbox"
_ABOUT = "What is told"
_OWN = (
    Shell("--cwd", "DIR", text="Where it begins: by default here if this is shown, else in the first of "
        "--write, else in /tmp."),
    Shell("--check", text="Show by what each wish is met on this machine, and run nothing."),
    Shell("--report", text="Tell at the end, on standard error, what ended it and what it used."),
)  # fmt: skip
_DESCRIPTOR = ShellOption(
    "Descriptors",
    Shell(
        "--fd",
        "N=fd:M",
        text="Descriptor N is the caller's M, such as a connected socket; or N=FILE, a file to read, "
        "N=write:FILE, N=append:FILE, N=both:FILE; may be repeated.",
        repeated=True,
    ),
    READERS["descriptor and file"],
)


class _Sandbox(ProgramCommand):
    own_heading = _ABOUT
    names_here = NAMES_HERE


@click.command(
    cls=_Sandbox,
    params=[
        *options(),
        _DESCRIPTOR,
        *(ShellOption(_ABOUT, shell) for shell in _OWN),
        click.Option(
            ["--json", "as_json"], is_flag=True, help="With --check or --report: as JSON."
        ),
        click.Argument(["argv"], nargs=-1, type=click.UNPROCESSED, metavar="PROGRAM [ARGS]..."),
    ],
    # What follows the program's name is the program's.
    context_settings={"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]},
    options_metavar="[OPTIONS] [--]",
    short_help="Run a program that sees and uses nothing but what you name.",
)
def sandbox(
    argv: tuple[str, ...], *, check: bool, report: bool, as_json: bool, **values: Any
) -> None:
    """Run a program that sees and uses nothing but what the options name.

    Without options it sees the programs and libraries of this machine, an empty /tmp and its own
    processes, and reaches no network. --read and --write show it more.

    Its exit status is the program's own, 128+N when signal N killed it; 124 when its time was over;
    125 when ramet failed, 126 when the program cannot be executed, 127 when it is not found. When it
    ends, all that it has started is killed.
    """
    if as_json and not (check or report):
        raise FailedError(_NAME, "--json goes with --check or --report")
    if not (argv or check):
        raise FailedError(_NAME, "which program? ramet sandbox [OPTIONS] [--] PROGRAM [ARGS]...")
    try:
        description = sandbox_of(values)
        if check:
            _check(description.plan(), as_json=as_json)
        set_variables(values)
        _tell_of_no_terminal(description, is_asked_for=values["output"] is not None)
        with ExitStack() as held:
            fds = given_descriptors(values["fd"])
            given: Options = {
                "fds": {number: one.opened_within(held) for number, one in fds.items()},
                "cwd": values["cwd"] and as_seen_from_here(description, values["cwd"]),
            }
            status = _run(argv, description, given, reports=report, as_json=as_json)
    except (OSError, ValueError, TypeError, OverflowError) as error:
        message = in_words_of_options(words(error))
        raise FailedError(_NAME, message, exit_code_of_failure(error)) from None
    if status.signal == signal.SIGINT:
        end_by_interrupt()
    sys.exit(TIMED_OUT if status.reason == "deadline" else exit_code(status, timed_out=False))


def _check(plan: Plan, *, as_json: bool) -> NoReturn:
    found = plan.to_dict()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        from .sandbox_check import show  # with rich, which takes longer than a program does

        show(plan, starts=bool(found["starts"]))
    sys.exit(0 if found["starts"] else FAILED)


def _tell_of_no_terminal(description: Sandbox, *, is_asked_for: bool) -> None:
    """An interactive program shows no prompt where a preset's limit of output makes pipes of a terminal."""
    if description.output is not None and not is_asked_for and os.isatty(0) and os.isatty(1):
        tell(
            "ramet sandbox: the program's output is counted, as the preset says, and so is no terminal to "
            "it: --output none gives it this one"
        )


def _run(
    argv: tuple[str, ...], description: Sandbox, given: "Options", *, reports: bool, as_json: bool
) -> ExitStatus:
    with (
        signals_kept() as mask,
        counted_output(description.output) as output,
    ):
        given = {**given, "sandbox": description, "signal_mask": mask}
        given["cwd"] = given["cwd"] or _here_if_seen(description)
        given_pipes = {} if output is None else output.given
        given.update(given_pipes)  # type: ignore[typeddict-item] # stdout and stderr
        begun = time.monotonic()
        command = Command(argv, **given)
        child = _spawned(command, description, given["cwd"], given_pipes.values())
        if output is not None:
            assert child._belongings.count_output is not None
            output.copy(child._belongings.count_output)
        status = SessionWatch(child).status()
        seconds = time.monotonic() - begun
    if reports:
        text = told_as_json if as_json else told
        tell(text(argv, status, child.report, seconds))
    else:
        for line in told_in_short(child.report, description):
            tell(f"ramet sandbox: {line}")
        # One that failed may have looked for a file that only the caller sees.
        if not status.success and (unseen := _unseen(argv[1:], description, given["cwd"])):
            tell(f"ramet sandbox: {unseen}")
    if child.report.changes is not None:
        _discard(child.report.changes)
    if output is not None and output.failure is not None:
        raise output.failure
    return status


def _discard(changes: Changes) -> None:
    """The program has run: its exit status is told whether or not what it wrote can be removed."""
    try:
        changes.discard()
    except OSError as error:
        tell(f"ramet sandbox: the layer of --overlay cannot be removed: {words(error)}")


def _spawned(command: Command, description: Sandbox, cwd: Any, pipes: Iterable[int]) -> Child[None]:
    command._give(pipes)
    try:
        return command.spawn()
    except SpawnError as error:
        program = command.argv[0]
        if error.step == "execve" and "/" in program and not os.path.isabs(program):
            error.reason = _unseen([program], description, cwd) or error.reason
        raise


def _here_if_seen(description: Sandbox) -> str | None:
    """The working directory, if the program sees it."""
    here = _here()
    if here is None:
        why = "this directory has been removed, and the program begins in another"
    elif confinement_of(OfProgram, description).sight.includes(here):
        return here
    else:
        why = (
            "the program does not see this directory, and begins in another: --read . or --write . "
            "shows it"
        )
    if sys.stderr.isatty():
        tell(f"ramet sandbox: {why}")
    return None


def _here() -> str | None:
    """The working directory; None where it has been removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _unseen(words: Iterable[str], description: Sandbox, cwd: Any = None) -> str:
    """That one of the words given to a program is a file that it does not see; empty where none is.

    cwd: where the program begins, by default where the sandbox does.
    """
    confinement, here = confinement_of(OfProgram, description), _here()
    sight, begins = confinement.sight, os.fsdecode(cwd or confinement.home)
    for path in words:
        if here is None and not os.path.isabs(path):  # it names nothing
            continue
        why = sight.why_unseen(os.path.abspath(path))
        if why and not os.path.isabs(path) and not path.startswith(".."):
            return f"the program does not see {path!r}: --read . shows this directory, and it begins there"
        if why:
            return in_words_of_options(why)
        if _is_elsewhere(path, begins):
            return (
                f"the program begins in {begins!r}, not here: name it {os.path.abspath(path)!r}, or begin "
                f"here by --cwd {shlex.quote(str(here))}"
            )
    return ""


def _is_elsewhere(path: str, begins: str) -> bool:
    """Whether it is a file here, and none where the program begins."""
    return os.path.exists(path) and not os.path.exists(os.path.join(begins, path))
