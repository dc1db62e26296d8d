"""Many guests: which there are, and running them side by side."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from . import kernels
from .machine import Guest
from .outcome import Outcome
from .packages import PackageError
from .suite import Suite

WHOLE = ("tests/guest", "tests/kernel", "tests/unit", "tests/property", "tests/crash")
# What says most of a kernel in the least time: three minutes in emulation.
FAST = ("tests/guest", "tests/kernel/lowlevel")
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


def rows(which: str, fetch: Callable[[kernels.Kernel], object]) -> list[Row]:
    """Of "whole" each kernel, as root and as a plain user; of "fast" the oldest and the newest, as root.

    fetch: raises PackageError for a kernel that cannot be had; "fast" does with those that can.
    """
    if which != "fast":
        whole = ((each, as_root) for each in kernels.KERNELS for as_root in (True, False))
        return [Row(each, "x86_64", as_root) for each, as_root in whole]
    ends = (_first(order, fetch) for order in (kernels.KERNELS, kernels.KERNELS[::-1]))
    return [Row(each, "x86_64", True) for each in ends]


def _first(
    order: Sequence[kernels.Kernel], fetch: Callable[[kernels.Kernel], object]
) -> kernels.Kernel:
    for kernel in order:
        try:
            fetch(kernel)
        except PackageError as error:
            _say(f"Linux {kernel.version} cannot be had: {error}")
        else:
            return kernel
    raise PackageError("no kernel can be had")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(which: str, suite: Suite, cache: Path, mirror: str | None) -> Iterator[Outcome]:
    """Run the suite in each guest, two at a time; outcomes in the order of the rows."""
    suite = replace(suite, arguments=("-q", *(FAST if which == "fast" else WHOLE)))

    def fetch(kernel: kernels.Kernel) -> Path:
        return kernels.fetch(kernel, "x86_64", mirror, cache)

    def run_row(row: Row) -> Outcome:
        guest = Guest(row.machine, fetch(row.kernel), Path("/"))
        results = cache / "results" / row.title
        end = replace(suite, as_root=row.as_root).run_in(guest, results, seconds=_SECONDS[which])
        outcome = Outcome.read(row.title, results, end.reason)
        _say(f"{row.title}: {'well' if outcome.success else 'NOT WELL'}")
        return outcome

    with ThreadPoolExecutor(_GUESTS_AT_A_TIME) as pool:
        yield from pool.map(run_row, rows(which, fetch))
