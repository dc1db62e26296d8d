"""python -m tools.guest: a command or the tests in one guest, or the tests in many."""

import argparse
import os
import sys
from pathlib import Path

from . import kernels, matrix, support_page, table
from .machine import Guest, run
from .outcome import Outcome
from .packages import PackageError
from .suite import Suite

TREE = Path(__file__).parents[2]
CACHE = TREE / "build" / "guest"
MIRROR = os.environ.get("MIRROR")


def main() -> int:
    """Read the arguments, and do it."""
    parser = argparse.ArgumentParser(prog="python -m tools.guest", description=__doc__)
    parser.add_argument(
        "--python", type=Path, default=Path(sys.executable), help="a Python that has ramet"
    )
    commands = parser.add_subparsers(required=True)

    command = _of_one_guest(commands.add_parser("run", help="a command of /bin/sh, as root"))
    command.add_argument("script")
    command.set_defaults(do=run_command)

    test = _of_one_guest(commands.add_parser("test", help="tests"))
    test.add_argument("--user", choices=["root", "plain"], default="root", help="who runs them")
    test.add_argument(
        "tests", nargs="*", default=["tests/kernel"], help="options of pytest, after --"
    )
    test.set_defaults(do=run_tests)

    many = commands.add_parser("matrix", help="the tests in each guest")
    many.add_argument(
        "which", nargs="*", default=["whole"], help="whole, fast, or the names of guests"
    )
    many.add_argument(
        "--tests", nargs="+", help="which, by default all; for fast those that are marked"
    )
    many.set_defaults(do=run_matrix)

    page = commands.add_parser(
        "page", help="docs/reference/support.md, from what was kept of the guests"
    )
    page.set_defaults(do=write_page)

    arguments = parser.parse_args()
    try:
        code: int = arguments.do(arguments)
    except PackageError as error:
        parser.exit(1, f"{error}\n")
    return code


def _of_one_guest(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    known = ", ".join(kernel.version for kernel in kernels.KERNELS)
    parser.add_argument("--kernel", required=True, type=kernels.named, help=known)
    parser.add_argument("--machine", choices=["x86_64", "aarch64"], default="x86_64")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="its root directory, by default this one"
    )
    parser.add_argument("--processors", type=int, default=2, help="of the guest, by default two")
    parser.add_argument("--append", default="", help="parameters of the kernel")
    parser.add_argument(
        "--seconds", type=float, default=3600.0, help="its time, by default an hour"
    )
    return parser


def run_command(arguments: argparse.Namespace) -> int:
    """Run a script; what it prints comes at its end."""
    results = CACHE / "results" / "run"
    output = results / "output.txt"
    script = f"exec >/run/guest/{output.name} 2>&1\n{arguments.script}\n"
    end = run(_guest(arguments), script, results, seconds=arguments.seconds)
    if output.exists():
        sys.stdout.write(output.read_text(errors="replace"))
    if end.code is None:
        print(end.reason, file=sys.stderr)
    return 1 if end.code is None else end.code


def run_tests(arguments: argparse.Namespace) -> int:
    """Run tests in one guest."""
    title = f"{arguments.kernel.version}-{arguments.machine}-{arguments.user}"
    suite = Suite(TREE, arguments.python, tuple(arguments.tests), arguments.user == "root")
    results = CACHE / "results" / f"test-{title}"
    end = suite.run_in(_guest(arguments), results, seconds=arguments.seconds)
    outcome = Outcome.read(title, results, end.reason)
    print(outcome.last_words(200))
    print(table.told([outcome]))
    return 0 if outcome.success else 1


def run_matrix(arguments: argparse.Namespace) -> int:
    """Run them in many; but for the fast matrix it is kept, and in docs/reference/support.md."""
    whole, fast = arguments.which == ["whole"], arguments.which == ["fast"]
    tests = arguments.tests or (matrix.fast_tests(TREE) if fast else ())
    guests = _matrix(Suite(TREE, arguments.python, tuple(tests), law=not tests))
    if fast:
        rows = matrix.fast_rows(guests.fetch)
    else:
        rows = list(matrix.WHOLE_ROWS) if whole else matrix.chosen(arguments.which)
    outcomes = list(guests.run(rows, fast=fast))
    print(table.told(outcomes))
    return 0 if all(outcome.success for outcome in outcomes) else 1


def write_page(arguments: argparse.Namespace) -> int:
    """Write docs/reference/support.md."""
    del arguments
    support_page.PAGE.write_text(support_page.page(matrix.kept()))
    return 0


def _matrix(suite: Suite) -> matrix.Matrix:
    return matrix.Matrix(suite, TREE / "build" / "wheels", CACHE, MIRROR)


def _guest(arguments: argparse.Namespace) -> Guest:
    directory = kernels.fetch(arguments.kernel, arguments.machine, MIRROR, CACHE)
    return Guest(
        arguments.machine, directory, arguments.root, arguments.append, arguments.processors
    )


if __name__ == "__main__":
    sys.exit(main())
