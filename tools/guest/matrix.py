"""Many guests: which there are, and running them side by side."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import ramet

from . import kernels, roots, support_page
from .machine import Guest
from .outcome import Outcome
from .packages import PackageError
from .record import KEPT, Record
from .suite import Suite

# What a kernel answers: each guest runs it.
OF_KERNEL = (
    *("tests/guest", "tests/kernel", "tests/crash/test_escapes.py"),
    "--ignore=tests/kernel/conformance",  # `ramet law check`, which is run beside, is the same and more
    # Whether an attempt is one is shown by the machine, whose root directory can be written to.
    "--deselect=tests/crash/test_escapes.py::test_it_gets_through_without_a_sandbox",
)
# What Python, its libc and other libraries answer, and no kernel: a guest of another machine runs it, too.
# On this one `make test` and `make newer` run it with each Python.
_OF_PYTHON_IN_KERNEL = ("dask", "joblib", "multiprocessing", "testing")
_OF_PYTHON = (
    *("tests/unit", "tests/property", "tests/crash"),
    "--ignore=tests/crash/test_multiprocessing_suite.py",  # Python's own tests, which the machine runs
    "--ignore=tests/crash/test_executor_suite.py",
)
_MACHINE = "x86_64"  # the one that the tool itself runs on
_MARK = "kernel"  # of the tests that say most of a kernel in the least time
_GUESTS_AT_A_TIME = 2
_SECONDS_OF_FAST, _SECONDS = 900.0, 6 * 3600.0


def fast_tests(tree: Path) -> tuple[str, ...]:
    """Those with the mark, as arguments of pytest; to load the other files, too, takes a minute."""
    files = sorted((tree / "tests").rglob("test_*.py"))
    marked = [file for file in files if f"pytest.mark.{_MARK}" in file.read_text()]
    return ("-m", _MARK, *(str(file.relative_to(tree)) for file in marked))


@dataclass(frozen=True)
class Row:
    """One guest of a matrix: its kernel, its machine, its root directory, and who runs the tests.

    root: another Debian, or None for this machine's root directory.
    """

    kernel: kernels.Kernel
    machine: str
    as_root: bool
    root: roots.Root | None = None

    @property
    def tests(self) -> tuple[str, ...]:
        """All that it runs: arguments of pytest."""
        if self.machine != _MACHINE:
            return (*OF_KERNEL, *_OF_PYTHON)
        ignored = (f"--ignore=tests/kernel/{each}" for each in _OF_PYTHON_IN_KERNEL)
        return (*OF_KERNEL, *ignored)

    @property
    def title(self) -> str:
        """Its name, and that of its directory of results."""
        python = f"-python{self.root.python}" if self.root else ""
        user = "root" if self.as_root else "user"
        return f"{self.kernel.version}-{self.machine}{python}-{user}"


_ELSEWHERE = (
    Row(kernels.named("6.12"), "aarch64", True, roots.Root("trixie", "aarch64", "3.13")),
    Row(kernels.named("7.2"), _MACHINE, True, roots.Root("sid", _MACHINE, "3.14")),
)
WHOLE_ROWS = (
    *(Row(kernel, _MACHINE, as_root) for kernel in kernels.KERNELS for as_root in (True, False)),
    *_ELSEWHERE,
)


def chosen(titles: Iterable[str]) -> list[Row]:
    """The rows of these names; SystemExit for a name that there is not."""
    known = {row.title: row for row in WHOLE_ROWS}
    if unknown := sorted(set(titles) - known.keys()):
        raise SystemExit(f"no guest {unknown[0]!r}: expected some of {', '.join(known)}")
    return [known[title] for title in titles]


def kept() -> list[Record]:
    """What was kept of the guests in which tests were run."""
    records = (Record.read(row.title) for row in WHOLE_ROWS)
    return [record for record in records if record.parts]


class Kept:
    """Keeps outcomes, and the page that is made of them. commit: of the sources that are tested."""

    def __init__(self, commit: str) -> None:
        self._commit = commit
        self._lock = threading.Lock()

    def keep(self, outcome: Outcome) -> None:
        """Add what a guest came to."""
        with self._lock:
            Record.read(outcome.title).with_run(outcome, self._commit).write()
            support_page.PAGE.write_text(support_page.page(kept()))


def fast_rows(fetch: Callable[[kernels.Kernel], object]) -> list[Row]:
    """The oldest and the newest kernel, as root.

    fetch: raises PackageError for a kernel that cannot be had; the next one is taken then.
    """
    ends = (_first(order, fetch) for order in (kernels.KERNELS, kernels.KERNELS[::-1]))
    return [Row(each, _MACHINE, True) for each in ends]


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


@dataclass(frozen=True)
class Matrix:
    """What its guests have in common.

    suite: the tests, which have the Python of this machine; without arguments each guest runs its own.
    wheels: where those for other Pythons and machines are. cache: as for kernels.fetch.
    """

    suite: Suite
    wheels: Path
    cache: Path
    mirror: str | None

    def fetch(self, kernel: kernels.Kernel, machine: str = _MACHINE) -> Path:
        """The kernel's directory."""
        return kernels.fetch(kernel, machine, self.mirror, self.cache)

    def run(self, rows: Iterable[Row], *, fast: bool = False) -> Iterator[Outcome]:
        """Run the suite in each guest, two at a time; outcomes in the order of the rows."""
        seconds = _SECONDS_OF_FAST if fast else _SECONDS
        kept = None if fast else Kept(_commit(self.suite.tree))
        with ThreadPoolExecutor(_GUESTS_AT_A_TIME) as pool:
            yield from pool.map(lambda row: self._run_row(row, seconds, kept), rows)

    def results(self, row: Row) -> Path:
        """The directory of what a guest left."""
        return self.cache / "results" / row.title

    def _run_row(self, row: Row, seconds: float, kept: "Kept | None") -> Outcome:
        arguments = ("-v", *(self.suite.arguments or row.tests))  # each test is named as it runs
        root, suite = Path("/"), replace(self.suite, as_root=row.as_root, arguments=arguments)
        if row.root:
            root = roots.make(row.root, self.mirror, self.cache)
            suite = replace(suite, python=self._environment(root, row.root))
        guest = Guest(row.machine, self.fetch(row.kernel, row.machine), root, processors=1)
        end = suite.run_in(guest, self.results(row), seconds=seconds)
        outcome = Outcome.read(row.title, self.results(row), end.reason)
        if kept is not None:
            kept.keep(outcome)
        _say(f"{row.title}: {'well' if outcome.success else 'NOT WELL'}")
        return outcome

    def _environment(self, directory: Path, root: roots.Root) -> Path:
        tag = f"cp{root.python.replace('.', '')}"
        wheels = [*self.wheels.glob(f"ramet-*-{tag}-{tag}-*{root.machine}.whl")]
        if not wheels:
            raise PackageError(f"there is no wheel for {root.name} in {self.wheels}: make wheels")
        newest = max(wheels, key=lambda wheel: wheel.stat().st_mtime)
        needed = [f"ramet[test] @ file://{newest.absolute()}"]
        pip = [sys.executable, "-m", "pip"]
        return roots.make_environment(directory, root, "tests", needed, pip)


def _commit(tree: Path) -> str:
    """What is tested, as git names it; what is kept of guests may have changed."""
    head = _told_by_git(tree, "rev-parse", "--short", "HEAD")
    others = (f":!{path.relative_to(tree)}" for path in (KEPT, support_page.PAGE))
    changed = _told_by_git(tree, "status", "--porcelain", "--", ".", *others)
    return (f"{head}-dirty" if changed else head) or "unknown"


def _told_by_git(tree: Path, *words: str) -> str:
    told = ramet.run(
        ["git", "-C", str(tree), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return str(told.stdout).strip()
