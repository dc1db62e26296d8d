"""Many guests: which there are, and running them side by side."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from . import kernels
from .machine import Guest
from .outcome import Outcome
from .suite import Suite

WHOLE = ("tests/kernel", "tests/unit", "tests/property", "tests/crash")
# What says most of a kernel in the least time: about five minutes in emulation.
FAST = (
    "tests/kernel/lowlevel",
    "tests/kernel/setup",
    "tests/kernel/limits",
    "tests/kernel/guest",
    "tests/kernel/sandbox/test_programs.py",
    "tests/kernel/sandbox/test_amounts_in_cgroups.py",
    "tests/kernel/process/test_missing_system_calls.py",
)
_GUESTS_AT_A_TIME = 2
_SECONDS = {"whole": 4 * 3600.0, "fast": 900.0}


@dataclass(frozen=True)
class Row:
    """One guest of a matrix: its kernel, its machine, and who runs the tests."""

    kernel: kernels.Kernel
    machine: str
    as_root: bool

    @property
    def title(self) -> str:
        """Its name, and that of its directory of results."""
        return f"{self.kernel.version}-{self.machine}-{'root' if self.as_root else 'user'}"


def rows(which: str) -> list[Row]:
    """Of "whole" each kernel, as root and as a plain user; of "fast" the oldest and the newest, as root."""
    if which == "fast":
        return [Row(kernel, "x86_64", True) for kernel in (kernels.KERNELS[0], kernels.KERNELS[-1])]
    return [
        Row(kernel, "x86_64", as_root) for kernel in kernels.KERNELS for as_root in (True, False)
    ]


def run(which: str, suite: Suite, cache: Path, mirror: str | None) -> Iterator[Outcome]:
    """Run the suite in each guest, two at a time; outcomes in the order of the rows."""
    suite = replace(suite, arguments=(*suite.arguments, *(FAST if which == "fast" else WHOLE)))

    def run_row(row: Row) -> Outcome:
        directory = kernels.fetch(row.kernel, row.machine, mirror, cache)
        guest = Guest(row.machine, directory, Path("/"))
        results = cache / "results" / row.title
        end = replace(suite, as_root=row.as_root).run_in(guest, results, seconds=_SECONDS[which])
        outcome = Outcome.read(row.title, results, end.reason)
        print(
            f"{row.title}: {'well' if outcome.success else 'NOT WELL'}", file=sys.stderr, flush=True
        )
        return outcome

    with ThreadPoolExecutor(_GUESTS_AT_A_TIME) as pool:
        yield from pool.map(run_row, rows(which))
