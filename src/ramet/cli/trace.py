"""ramet trace: the clone calls, execs and ends of a tree of tasks."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ..observe.tracing import Trace
from ..observe.tracing import trace as begin_trace
from .failures import FAILED, FailedError
from .pid import PID
from .program_command import (
    KILLED,
    ProgramCommand,
    end_by_interrupt,
    exit_code,
    exit_code_of_failure,
    words,
)
from .run_watch import AWAITED, is_by_terminal, signals_kept
from .trace_outputs import outputs

if TYPE_CHECKING:
    from .._setup.options import Options

_NAME = "trace"
_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
_SLOW = "the tasks stop at every system call, which slows them: "
_ATTACHED = _SLOW + "only a program that 'ramet trace' starts can get a filter"
_WITHOUT = _SLOW + "the kernel takes no seccomp filter here"
_ALL_ARGUMENTS = {"arguments": 1 << 16, "argument_bytes": 1 << 17}  # what the kernel takes


@click.command(
    cls=ProgramCommand,
    # What follows the program's name is the program's.
    context_settings={"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]},
    options_metavar="[OPTIONS] [--]",
    short_help="Tell of each clone call, exec and end below a program.",
)
@click.option("-p", "--pid", type=PID, metavar="PID",
    help="Attach to a running process, all its threads, instead of starting a program.")  # fmt: skip
@click.option(
    "-o", "--output", metavar="FILE", help="Write the lines there, not to standard error."
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    help="Write the events: a JSON object a line; - is standard output.",
)
@click.option(
    "--chrome", metavar="FILE", help="Write a trace for ui.perfetto.dev and chrome://tracing."
)
@click.option("--html", metavar="FILE", help="Write a timeline: one page that needs no network.")
@click.option(
    "--summary",
    is_flag=True,
    help="No lines; at the end the clone calls by kind, what was refused, and what used most time.",
)
@click.option("--quiet", is_flag=True, help="No lines; for --json, --chrome and --html.")
@click.option(
    "--full",
    is_flag=True,
    help="All arguments of each program, the paths of each search, and the addresses in each call.",
)
@click.option(
    "--every-call",
    is_flag=True,
    help="Stop at every system call: slower, but sees what the program's own seccomp filters refuse.",
)
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="PROGRAM [ARGS]...")
def trace(argv: tuple[str, ...], *, pid: int | None, **values: Any) -> None:
    """Tell of each clone call, exec and end among a program and all that it starts.

    Its exit status is the program's own, 128+N when signal N killed it; 125 when ramet failed, 126 when the
    program cannot be executed, 127 when it is not found; with -p it is 0. Signals reach the program; with
    -p, Ctrl-C ends the trace, and the process goes on. It ends when the last of the program's children has.
    """
    if bool(argv) == (pid is not None):
        raise FailedError(
            _NAME, "which program? ramet trace [OPTIONS] [--] PROGRAM [ARGS]..., or -p PID"
        )
    try:
        code = _traced(argv, pid, values)
    except (OSError, ValueError, RuntimeError) as error:
        raise FailedError(_NAME, words(error), exit_code_of_failure(error)) from None
    if code == KILLED + signal.SIGINT:
        end_by_interrupt()
    sys.exit(code)


def _traced(argv: tuple[str, ...], pid: int | None, values: dict[str, Any]) -> int:
    with outputs(argv, pid, values) as shown, signals_kept() as mask:
        with _begun(argv, pid, values, mask) as begun, _signals_passed(begun):
            if not begun.filtered and not values["every_call"]:
                shown.note(_ATTACHED if pid is not None else _WITHOUT)
            for event in begun:
                shown.show(event)
                if not begun.is_of_program and not shown.are_read:
                    begun.leave()
        shown.close()
    if begun.error is not None:
        raise begun.error
    if shown.has_failed:
        return FAILED
    if pid is not None:
        return 0
    return FAILED if begun.status is None else exit_code(begun.status, timed_out=False)


def _begun(argv: tuple[str, ...], pid: int | None, values: dict[str, Any], mask: set[Any]) -> Trace:
    """The trace, with a program that gets the signals as they were."""
    read: Any = _ALL_ARGUMENTS if values["full"] else {}
    if pid is not None:
        return begin_trace(pid=pid, **read)
    options: Options = {"close_fds": False, "signal_mask": mask}
    return begin_trace(argv, every_call=values["every_call"], **read, **options)


@contextmanager
def _signals_passed(begun: Trace) -> Iterator[None]:
    """A thread hands on what this process is sent; they are blocked, so that they wait for it."""
    is_over = threading.Event()

    def pass_on() -> None:
        while not is_over.is_set():
            told = signal.sigwaitinfo(AWAITED)
            if not is_over.is_set() and told.si_signo != signal.SIGCHLD:
                _pass(begun, told)

    thread = threading.Thread(target=pass_on, name="signals of ramet trace", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        signal.pthread_kill(thread.ident or 0, signal.SIGCHLD)
        thread.join()


def _pass(begun: Trace, told: signal.struct_siginfo) -> None:
    """To the program, where the terminal has not sent it there as well.

    When that is over, or is none that was started, a signal that would end this process ends the trace.
    """
    number = told.si_signo
    if number == signal.SIGTSTP and is_by_terminal(told):
        os.kill(os.getpid(), signal.SIGSTOP)  # so that the shell sees the job stopped
    elif not begun.is_of_program or begun.status is not None:
        if number in _ENDING:
            begun.leave()
    elif not is_by_terminal(told):
        begun.send_signal(number)
