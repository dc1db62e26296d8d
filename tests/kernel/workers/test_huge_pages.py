"""A template's memory in huge pages: what makes a clone of a large one cheap."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramet import Template

from ...constants import SECONDS
from ...kernels import KERNEL

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(KERNEL < (6, 1), reason="MADV_COLLAPSE came with Linux 6.1"),
]

MEGABYTE = 1 << 20
NUMBERS = 200_000  # each with a dict: 60 MB
MODULE = f"""
import signal

TABLE = [{{"number": number}} for number in range({NUMBERS})]

def total():
    return sum(row["number"] for row in TABLE)

def stop():
    signal.raise_signal(signal.SIGSTOP)
"""
TOTAL = NUMBERS * (NUMBERS - 1) // 2


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module with much memory."""
    (tmp_path / "a_large_table.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "a_large_table"
    sys.modules.pop("a_large_table", None)


def megabytes(pid: int | str, *names: str) -> float:
    """The sum of counters in /proc/PID/smaps_rollup."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    counters = {name: int(size) for name, size in (line.split()[:2] for line in lines)}
    return sum(counters[f"{name}:"] for name in names) / 1024


def huge(pid: int | str) -> float:
    """Of the memory that a process has written to, how much is in huge pages: 1 for all."""
    return megabytes(pid, "AnonHugePages") / megabytes(pid, "Anonymous")


def own(pid: int) -> float:
    """In MB, what a process alone has written to."""
    return megabytes(pid, "Private_Dirty")


def test_what_a_template_has_loaded(table: str) -> None:
    """Most of it is in huge pages, and stays so when calls have gone through all of it."""
    with Template(preload=[table]) as template:
        import a_large_table  # type: ignore[import-not-found] # made by the fixture

        assert huge(template.pid) > 0.5
        for _ in range(3):
            assert template.clone(a_large_table.total).result() == TOTAL
        assert huge(template.pid) > 0.5


def test_what_a_clone_has_of_it(table: str) -> None:
    """The entries of its page table are the template's: one where there were 512."""
    with Template(preload=[table], spares=0) as template:
        import a_large_table

        with template.clone(a_large_table.stop) as child:
            os.waitid(os.P_PIDFD, child.fileno(), os.WSTOPPED | os.WNOWAIT)
            assert huge(child.pid) > 0.5
            assert own(child.pid) < 10


def test_a_derived_template_copies_nothing(table: str) -> None:
    """What it shares with the other stays shared."""
    with Template(preload=[table]) as template, template.derive(preload=["decimal"]) as derived:
        assert own(derived.pid) < 20
        assert own(template.pid) < 20


def test_a_copy_of_the_caller_copies_nothing() -> None:
    """Nor does a template that is made of the caller as it is."""
    rows = [{"number": number} for number in range(NUMBERS)]
    with Template.from_here(allow=["threads"]) as template:
        assert own(template.pid) < 20
        with template.clone(lambda: len(rows)) as child:
            assert child.result() == NUMBERS


def run(program: str) -> None:
    """A program in a fresh Python."""
    text = "import gc, resource, sys\nfrom ramet import _core\n" + program
    subprocess.run([sys.executable, "-c", text], check=True, timeout=SECONDS)


def test_memory_of_gathered_objects_is_given_back() -> None:
    """Arenas that are empty go, gathered or not, before that ends and after."""
    run(f"""
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * {resource.getpagesize()}

def made():
    return [{{"number": number}} for number in range({NUMBERS})]

rows = made()
before = resident()
del rows
least = resident()
for wanted in (True, False, True):
    _core.gather_objects(True)
    rows = made()
    _core.gather_objects(wanted)
    assert resident() - least > 20 << 20, (least, resident())
    del rows
    gc.collect()
    assert resident() - least < 10 << 20, (wanted, least, resident())
""")


def test_objects_are_made_where_no_area_can_be() -> None:
    """Under a limit of the address space they lie where they did before."""
    run("""
_core.gather_objects(True)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (6 << 20),) * 2)
kept = [str(number) for number in range(40_000)]
_core.gather_objects(False)
assert kept[-1] == "39999"
""")


def test_what_is_small_stays_as_it_is() -> None:
    """A mapping of which little was written to does not grow."""
    run("""
import mmap
area = mmap.mmap(-1, 64 << 20, mmap.MAP_PRIVATE)
for place in range(0, len(area), 1 << 16):  # a sixteenth of its pages
    area[place] = 1
before = int(open("/proc/self/statm").read().split()[1])
_core.make_huge()
after = int(open("/proc/self/statm").read().split()[1])
assert (after - before) * resource.getpagesize() < 8 << 20
""")
