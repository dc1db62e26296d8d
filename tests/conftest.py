"""What every test may ask for, and what every skip must answer to."""

import faulthandler
import gc
import os
import platform
import re
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ramet import _core

from . import constants
from .left_processes import LeftProcesses

pytest_plugins = ["pytester"]  # for the tests of the pytest plugin

# How long the interpreter may take to end when the tests have.
END_SECONDS = 60

# How long what a test left may take to vanish by itself.
PATIENCE_SECONDS = 5.0

# The allocator and new threads' arenas come and go in a few mappings at a time. A leak test makes
# enough tasks that one mapping lost for each shows above this.
MAPPING_SLACK = 64

# So many checks of what is left come between two collections that go through all objects.
ROUND = 100

# numpy asks for huge pages where its arrays lie, which stays with the heap when they have gone: then the
# memory of this process grows by 2 MB at one touch, whatever a test is measuring.
os.environ["NUMPY_MADVISE_HUGEPAGE"] = "0"

EXPECTED_SKIPS = Path(__file__).with_name("expected_skips.txt")


# ---- what a test leaves behind


@dataclass(frozen=True)
class Holdings:
    """What this process holds in the kernel at one moment."""

    descriptors: Mapping[int, str]
    children: Mapping[int, str]
    threads: Mapping[int, str]
    mappings: int
    nice: int

    @classmethod
    def now(cls) -> "Holdings":
        """Read everything from /proc/self."""
        return cls(
            descriptors=dict(_descriptors()),
            children=dict(_children()),
            threads=dict(_threads()),
            mappings=len(Path("/proc/self/maps").read_text().splitlines()),
            nice=os.getpriority(os.PRIO_PROCESS, 0),
        )

    def beyond(self, before: "Holdings") -> list[str]:
        """Describe, in words, each thing that was not held before."""
        lines = [
            f"descriptor {number} ({target})"
            for number, target in self.descriptors.items()
            # The same number may stand for another file by now.
            if before.descriptors.get(number, "").split()[-1:] != target.split()[-1:]
        ]
        lines += [
            f"child {pid} ({self.children[pid]})"
            for pid in self.children.keys() - before.children.keys()
        ]
        lines += [
            f"thread {tid} ({self.threads[tid]})"
            for tid in self.threads.keys() - before.threads.keys()
        ]
        if self.mappings > before.mappings + MAPPING_SLACK:
            lines.append(f"mappings: {self.mappings}, and {before.mappings} before")
        if self.nice != before.nice:
            lines.append(f"a nice value: {self.nice}, and {before.nice} before")
        return lines


def _descriptors() -> Iterator[tuple[int, str]]:
    # What pytest captures goes to other files in each phase of a test.
    captured = {_file_of(number): name for number, name in ((1, "stdout"), (2, "stderr"))}
    for name in os.listdir("/proc/self/fd"):
        # The descriptor that read this listing is closed by now.
        try:
            link, held = os.readlink(f"/proc/self/fd/{name}"), _file_of(int(name))
        except OSError:
            continue
        # The last word is which file it is; a link's text is for people, and may change.
        yield int(name), f"{link} {captured.get(held, held)}"


def _file_of(descriptor: int) -> str:
    held = os.fstat(descriptor)
    return f"{held.st_dev}:{held.st_ino}"


def _children() -> Iterator[tuple[int, str]]:
    """Children that run, and children that ended and were not waited for."""
    for listing in Path("/proc/self/task").glob("*/children"):
        for pid in _read(listing).split():
            yield int(pid), _state(int(pid))


def _state(pid: int) -> str:
    status = dict(
        line.split(":\t", 1)
        for line in _read(Path(f"/proc/{pid}/status")).splitlines()
        if ":\t" in line
    )
    return f"{status.get('Name', 'gone')}, {status.get('State', 'gone')}"


def _threads() -> Iterator[tuple[int, str]]:
    for task in Path("/proc/self/task").iterdir():
        yield int(task.name), _read(task / "comm").strip()


def _read(path: Path) -> str:
    """Read a file of a task that may end at any moment."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


class LeakCheck:
    """Compares what the process holds with what it held when the check began."""

    _made = 0

    def __init__(self) -> None:
        LeakCheck._made += 1
        self.start_again()

    def start_again(self) -> None:
        """Count from here: for tests that warm up what is kept on purpose."""
        _collect_and_freeze(all_of_it=LeakCheck._made % ROUND == 0)
        _core.drain()
        self._before = Holdings.now()

    def verify(self) -> None:
        """Fail unless all that was taken since is given back, or is within a few seconds.

        Nothing tells when another thread's stack is unmapped, so this has to look again.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS * constants.SLOWER
        gc.collect()
        _core.drain()  # host threads at rest are kept on purpose
        while left := Holdings.now().beyond(self._before):
            if time.monotonic() > deadline:
                pytest.fail("left behind: " + "; ".join(left), pytrace=False)
            os.sched_yield()


def _collect_and_freeze(*, all_of_it: bool) -> None:
    """Collect, and keep the collector from what is there: pytest's, the modules' and other tests' objects.

    Every check of what is left collects twice, which takes longer than most tests where it goes through
    all that; what the tests before have left grows. all_of_it: also what was frozen before.
    """
    if all_of_it:
        gc.unfreeze()
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    """The same before the first test; then make huge pages of it.

    Most tests fork this process, and a fork takes less than half of the time where 150 MB of collected
    tests are 75 huge pages and not 38,000 others.
    """
    _collect_and_freeze(all_of_it=True)
    _core.make_huge()
    _core.gather_objects(False)


def pytest_sessionfinish() -> None:
    """Give the collector back what is its, as what pytest calls in the end may ask it."""
    gc.unfreeze()


@pytest.fixture
def nothing_left() -> Iterator[LeakCheck]:
    """Fail the test when it leaves a descriptor, child, thread or mapping behind."""
    check = LeakCheck()
    yield check
    check.verify()


# ---- a control group

MOUNTS = Path("/proc/self/mounts")


def _cgroup2_roots() -> Iterator[Path]:
    for line in MOUNTS.read_text().splitlines():
        _, place, kind, *_ = line.split(" ")
        if kind == "cgroup2":
            yield Path(place)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A new directory of cgroup v2, empty again and removed in the end."""
    for root in _cgroup2_roots():
        try:
            made = Path(tempfile.mkdtemp(prefix="ramet-test-", dir=root))
        except OSError:
            continue
        yield made
        made.rmdir()
        return
    pytest.skip("needs a cgroup v2 hierarchy in which a directory can be made")


# ---- how long a test may take

LONGEST_SECONDS = 2000  # with RAMET_LONG=1
GRACE_SECONDS = 30  # in which a test that is interrupted ends


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest) -> None:
    """Set the deadline thread, which ends the run where nothing in Python can, for more than is usual.

    That is for tests whose mark allows them more.
    """
    mark = request.node.get_closest_marker("timeout")
    seconds = mark.args[0] + GRACE_SECONDS if mark is not None else 0
    if os.environ.get("RAMET_LONG") == "1":
        seconds = LONGEST_SECONDS
    if seconds > float(request.config.getini("faulthandler_timeout")):
        faulthandler.dump_traceback_later(seconds, exit=True, file=2)


# ---- what may be skipped


@dataclass(frozen=True)
class ExpectedSkip:
    """One line of the list: tests that may be skipped, and when."""

    tests: re.Pattern[str]
    words: frozenset[str]

    @classmethod
    def parse(cls, line: str) -> "ExpectedSkip":
        """Read `id | when | why`."""
        fields = [field.strip() for field in line.split("|")]
        match fields:
            case [tests, words, why] if tests and why:
                # Only `*` is special: the brackets of a parametrized test are part of its id.
                pattern = ".*".join(re.escape(part) for part in tests.split("*"))
                return cls(re.compile(pattern), frozenset(words.split()))
            case _:
                raise pytest.UsageError(f"{EXPECTED_SKIPS}: not `id | when | why`: {line}")


def _true_words() -> frozenset[str]:
    return frozenset(
        {
            "user" if os.geteuid() else "root",
            f"py{sys.version_info.major}{sys.version_info.minor}",
            platform.machine(),
            "free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else "global-lock",
        }
    )


def _expected_skips() -> list[ExpectedSkip]:
    lines = EXPECTED_SKIPS.read_text().splitlines()
    return [ExpectedSkip.parse(line) for line in lines if line.strip() and not line.startswith("#")]


class SkipWatch:
    """Fails a run in which a test was skipped that is not in the list."""

    def __init__(self) -> None:
        true_words = _true_words()
        self._expected = [skip for skip in _expected_skips() if skip.words <= true_words]
        self._unexpected: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that was skipped; one that failed as foretold was not."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a whole file that was skipped."""
        if report.skipped:
            self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not any(skip.tests.fullmatch(report.nodeid) for skip in self._expected):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            self._unexpected.append(f"{report.nodeid}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn a run that passed into one that failed."""
        if self._unexpected and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what was skipped without leave."""
        if self._unexpected:
            terminalreporter.section(f"skipped, but not in {EXPECTED_SKIPS.name}", red=True)
            for line in self._unexpected:
                terminalreporter.line(line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --slower, give the tests more time."""
    for item in items:
        mark = item.get_closest_marker("timeout")
        if mark is not None:
            seconds = mark.args[0] * config.getoption("--slower")
            item.add_marker(pytest.mark.timeout(seconds), append=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --check-skips and --slower."""
    parser.addoption(
        "--slower",
        type=int,
        default=1,
        help="times the time that a test may take, and the less often a test repeats what it does: "
        "for an emulated machine",
    )
    parser.addoption(
        "--check-skips",
        action="store_true",
        help=f"fail when a test is skipped that {EXPECTED_SKIPS.name} does not name",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Watch the skips, and wait longer, when asked to; hear signals that a background ignores."""
    _core.gather_objects(True)  # until the tests are collected
    slower = config.getoption("--slower")
    constants.SLOWER = slower  # before a test's module takes them from there
    constants.SECONDS *= slower
    constants.PATIENT_SECONDS *= slower
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:  # and programs of tests would inherit that
            heard = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, heard)
    config.pluginmanager.register(LeftProcesses())
    if config.getoption("--check-skips"):
        config.pluginmanager.register(SkipWatch())


def pytest_unconfigure() -> None:
    """End the run where a thread that a test has left would keep it for ever, and show which."""
    faulthandler.dump_traceback_later(END_SECONDS, exit=True, file=2)
