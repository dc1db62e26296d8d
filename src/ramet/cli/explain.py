"""ramet explain: a request in words, and the kernel's answer."""

import json
import sys
from typing import Any, cast

import click

from .._preflight.on_running_kernel import explain as explain_request
from ..law import CALLS, Call, Caller, Explanation
from ..law.svg import Theme
from .picture import theme_option, write_picture


@click.command(short_help="Explain a request for a new task.")
@click.argument("request", nargs=-1, required=True)
@click.option(
    "--call", type=click.Choice(CALLS), help="The call; by default the one that Ramet would make."
)
@click.option("--exit-signal", type=int, metavar="N", help="The number of the exit signal.")
@click.option("--kernel", metavar="6.9", help="The Linux version; by default the running one.")
@click.option("--unprivileged", is_flag=True, help="For a caller without privileges.")
@click.option("--as-me", is_flag=True, help="For the user and the namespaces of this command.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=VALUE",
    help="A field of clone_args, such as stack=0x7f0000000000 or set_tid=1,77.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--svg", metavar="FILE", help="Draw caller and child into this file; - is the standard output."
)
@theme_option
def explain(
    request: tuple[str, ...],
    *,
    call: str | None,
    exit_signal: int | None,
    kernel: str | None,
    unprivileged: bool,
    as_me: bool,
    fields: tuple[str, ...],
    as_json: bool,
    svg: str | None,
    theme: Theme,
) -> None:
    """Explain a request for a new task: what is shared, which rules it breaks, and the remedies.

    REQUEST is flags by name ('CLONE_VM|CLONE_FS|SIGCHLD', or VM,FS), a number, a line of strace for
    clone, clone3, fork, vfork, unshare or setns, or one of fork, vfork, pthread_create, posix_spawn
    and docker. The exit status is 1 when the kernel would refuse it.
    """
    try:
        explanation = explain_request(
            " ".join(request),
            exit_signal=exit_signal,
            call=cast(Call | None, call),
            caller=_caller(unprivileged, as_me),
            kernel=kernel,
            **dict(_field(field) for field in fields),
        )
    except (ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from None
    if svg is not None:
        write_picture(explanation.svg(theme), svg)
    if as_json:
        click.echo(json.dumps(explanation.to_dict(), indent=2))
    elif svg is None:
        _show(explanation)
    sys.exit(int(not explanation.outcome.granted))


def _caller(unprivileged: bool, as_me: bool) -> Caller | None:
    if unprivileged and as_me:
        raise click.UsageError("--unprivileged and --as-me name two callers: use one")
    if as_me:
        return Caller.current()
    return Caller(privileged=False) if unprivileged else None


def _show(explanation: Explanation) -> None:
    """In a terminal with colours and wrapped lines; in a file each line is whole, for grep."""
    if not sys.stdout.isatty():
        click.echo(str(explanation))
        return
    from .explanation import show  # rich takes longer to import than all else

    show(explanation)


def _field(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if name in {"beyond", "own", "descends", "pidfd_target"}:
        return name, value.lower() in {"1", "yes", "true"}
    try:
        numbers = [int(number, 0) for number in value.split(",")]
    except ValueError:
        raise click.UsageError(
            f"invalid --field: expected a number, got {value!r} in {text!r}"
        ) from None
    return name, numbers if name == "set_tid" and not value.startswith("0x") else numbers[0]
