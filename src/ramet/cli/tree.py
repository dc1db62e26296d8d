"""ramet tree: processes and threads, and what they share."""

import json
import sys
from typing import Final

import click

from ..law.svg import Theme
from ..tour.colours import console_for
from .picture import theme_option, write_picture
from .pid import PID
from .tree_lines import View, lines

_SECONDS: Final = 1.0
_LEAST_SECONDS: Final = 0.1


class _TakesOptionalValue(click.Command):
    """Its --watch takes a value behind a "=" only, as with getopt_long(3): the next word is a PID."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The words, with the value that a bare --watch stands for."""
        return super().parse_args(
            ctx, [f"--watch={_SECONDS}" if word == "--watch" else word for word in args]
        )


@click.command(cls=_TakesOptionalValue)
@click.argument("pid", required=False, type=PID)
@click.option(
    "--threads/--no-threads",
    default=None,
    help="A line for each thread, or none; by default for those that share less with their process.",
)
@click.option(
    "--all", "everything", is_flag=True, help="All that a task has, and the threads of the kernel."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--svg", metavar="FILE", help="Draw into this file; - is the standard output.")
@theme_option
@click.option(
    "--watch",
    metavar="[=SECONDS]",
    type=click.FloatRange(min=_LEAST_SECONDS),
    help=f"Look again every so many seconds, {_SECONDS:g} by default, until Ctrl-C or the end of PID.",
)
def tree(
    pid: int | None,
    *,
    threads: bool | None,
    everything: bool,
    as_json: bool,
    svg: str | None,
    theme: Theme,
    watch: float | None,
) -> None:
    """Show processes and threads, and what they share.

    PID is the process at the top; without it all are shown. Of each task is said what is not so as a rule:
    what a process shares with its parent, or with a task that is none of its own; what a thread does
    not share with its process; namespaces and control groups that are not the parent's. "not permitted":
    the task belongs to another user, who may look at it.

    The exit status is 1 when there is no such process.
    """
    if watch is not None and svg is not None:
        raise click.UsageError("--watch and --svg exclude each other: a picture shows one moment")
    view = View(pid, threads, everything)
    if watch is not None:
        from .tree_watch import watch as watch_tree

        watch_tree(view, watch, as_json=as_json)
        return
    seen = view.look()
    if svg is not None:
        from ..observe.tree_picture import picture

        write_picture(picture(view.rows(seen), view.title, theme), svg)
    if as_json:
        click.echo(json.dumps(seen.to_dict(), indent=2))
    elif svg is None:
        console = console_for(sys.stdout)
        for line in lines(view.rows(seen)):
            console.print(line, soft_wrap=True)
