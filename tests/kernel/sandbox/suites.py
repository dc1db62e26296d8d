"""What the cases of other sandboxes' suites are tried with here, and the tables that name them all."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import ramet
from ramet import Sandbox

# A CompletedProcess[str] with reason, report and changes.
Done: TypeAlias = Any

PYTHON = [sys.executable, "-I", "-S", "-c"]


def run(command: str | list[str], sandbox: Sandbox, **options: Any) -> Done:
    """A program, or a shell's command, in a sandbox."""
    argv = ["sh", "-c", command] if isinstance(command, str) else command
    return ramet.run(argv, sandbox=sandbox, capture_output=True, text=True, **options)


def told(command: str | list[str], sandbox: Sandbox, **options: Any) -> str:
    """What it prints; it ends well."""
    done = run(command, sandbox, **options)
    assert (done.stderr, done.returncode) == ("", 0)
    return str(done.stdout)


def in_python(program: str, sandbox: Sandbox, **options: Any) -> Done:
    """The same of a Python program."""
    return run([*PYTHON, program], sandbox, **options)


def in_shell(*words: str) -> Done:
    """The command: ramet sandbox."""
    argv = [sys.executable, "-m", "ramet", "sandbox", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@contextmanager
def directory() -> Iterator[Path]:
    """One that is not below /tmp, where a sandbox has its own, and where everybody may come."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made).resolve()


class Table(NamedTuple):
    """The cases of a suite. held: by which test of ours; left_out: why; counts: how many in each file."""

    held: dict[str, str]
    left_out: dict[str, str]
    counts: dict[str, int]


def table(path: Path) -> Table:
    """One that is written so: == file, then -> test or -- reason, then names with semicolons."""
    read = Table({}, {}, {})
    file = heading = ""
    for line in path.read_text().splitlines():
        if line.startswith("== "):
            file, heading = line.removeprefix("== "), ""
            read.counts[file] = 0
        elif line.startswith(("-> ", "-- ")):
            heading = line
        elif line and not line.startswith("# "):
            names = [name.strip() for name in line.split(";") if name.strip()]
            for name in names:
                case = f"{file}: {name}"
                assert heading, f"{case}: neither a test nor a reason"
                assert case not in {*read.held, *read.left_out}, f"{case} is there twice"
                (read.held if heading.startswith("-> ") else read.left_out)[case] = heading[3:]
            read.counts[file] += len(names)
    return read
