"""ramet law: the rules, and their comparison with the running kernel."""

import json
import sys

import click

from ..conformance import Report, check_kernel
from ..law import RULES
from .failures import FailedError


@click.group()
def law() -> None:
    """The rules by which Linux grants and refuses new tasks."""


@law.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--uid", type=int, metavar="N", help="As this user; another user needs root.")
def check(as_json: bool, uid: int | None) -> None:
    """Compare the law with this kernel, by some 37,000 real calls.

    It calls clone3 and clone with every subset of the flags that can decide an errno, then with many
    arguments and callers. It prints each difference as a line for a bug report, and the exit status
    is then 1.
    """
    try:
        report = check_kernel(uid, tell=lambda part: click.echo(f"{part} ...", err=True))
    except (PermissionError, RuntimeError) as error:
        raise FailedError("law check", str(error), 1) from None
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else _told(report))
    sys.exit(int(bool(report.differing)))


def _told(report: Report) -> str:
    asked = ", ".join(f"{count} of {part}" for part, count in report.requests.items())
    lines = [
        f"Linux {report.kernel} on {report.machine}, uid {report.uid}, in {report.seconds:.1f} s",
        f"asked: {asked}; {report.granted} were granted and their children compared",
    ]
    if report.unseen:
        lines.append(f"{report.unseen} times the kernel did not show what is shared (kcmp, /proc)")
    if report.filtered:
        lines.append(
            "this process has a seccomp filter, which may have answered instead of the kernel"
        )
    if report.differing:
        lines.append(f"{report.differing} requests differ; please report these lines:")
        lines += report.mismatches
    else:
        lines.append(f"the law and this kernel agree; {len(report.rules)} rules refused something")
    return "\n".join(lines)


@law.command()
@click.argument("id_", metavar="RULE", required=False)
def rules(id_: str | None) -> None:
    """List the rules, or show one, such as D3."""
    rows = [rule for rule in RULES if id_ is None or rule.id.lower() == id_.lower()]
    if not rows:
        known = ", ".join(dict.fromkeys(rule.id for rule in RULES))
        raise click.BadParameter(f"there is no rule {id_}; there are {known}")
    for rule in rows:
        calls = ", ".join(sorted(rule.calls))
        click.echo(f"{rule.id} {rule.errno or 'ignored'} ({calls}): {rule.sentence}")
        if id_ is not None:
            until = f", until Linux {rule.until}" if rule.until else ""
            click.echo(f"  {rule.kernel_function}, {rule.source}, since Linux {rule.since}{until}")
            click.echo(f"  remedy: {rule.remedy}")
