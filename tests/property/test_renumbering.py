import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ramet import Command

from ..looking import is_open

# Every descriptor with the file that it is; the one that lists the folder is closed by then.
TABLE = """
import os
for name in os.listdir("/proc/self/fd"):
    try:
        print(name, os.fstat(int(name)).st_ino)
    except OSError:
        pass
"""
# Eight files of their own, beside each other, so that many targets are sources as well.
FIRST = 20
SOURCES = range(FIRST, FIRST + 8)
NULL = subprocess.DEVNULL

targets = st.integers(3, FIRST + 12)
sources = st.sampled_from([*SOURCES, NULL])


@pytest.fixture(scope="module")
def files() -> Iterator[dict[int, int]]:
    """The descriptors of SOURCES, which nobody else uses, and the inode of each; of DEVNULL, too."""
    before = {
        number: fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, SOURCES.stop)
        for number in SOURCES
        if is_open(number)
    }
    for number in SOURCES:
        made = os.memfd_create(str(number))
        if made != number:
            os.dup2(made, number, inheritable=False)
            os.close(made)
    yield {number: os.fstat(number).st_ino for number in SOURCES} | {
        NULL: os.stat(os.devnull).st_ino
    }
    for number in SOURCES:
        os.close(number)
    for number, saved in before.items():
        os.dup2(saved, number, inheritable=False)
        os.close(saved)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    wanted=st.dictionaries(targets, sources, max_size=12),
    kept=st.sets(st.sampled_from(SOURCES), max_size=3),
    start=st.booleans(),
)
def test_any_renumbering_is_exactly_the_childs_table(
    files: dict[int, int], wanted: dict[int, int], kept: set[int], start: bool
) -> None:
    """Whatever goes where, the child has the standard three, what was asked for, and nothing else."""
    read, write = os.pipe()
    os.set_inheritable(read, True)  # it would be seen, if it were not closed
    expected = {number: files[number] for number in kept}
    expected |= {number: os.fstat(number).st_ino for number in (0, 2)}
    expected |= {target: files[source] for target, source in wanted.items()}
    expected[1] = os.fstat(write).st_ino
    command = Command(
        [sys.executable, "-I", "-S", "-c", TABLE],
        fds=wanted,
        stdout=write,
        pass_fds=kept,
        start=start,
    )
    try:
        with command.spawn() as child:
            if not start:
                child.start()
            os.close(write)
            with open(read, closefd=False) as table:
                lines = [line.split() for line in table]
            assert child.wait(60).success
    finally:
        os.close(read)
    assert {int(number): int(file) for number, file in lines} == expected
    # And the caller has what it had.
    assert {number: os.fstat(number).st_ino for number in SOURCES} == {
        number: files[number] for number in SOURCES
    }


permutations = st.permutations(SOURCES).map(lambda order: dict(zip(SOURCES, order, strict=True)))


@settings(max_examples=30)
@given(wanted=permutations)
def test_any_permutation(files: dict[int, int], wanted: dict[int, int]) -> None:
    """All cycles, of any length and number, come out right, with and without the others closed."""
    script = "for n in " + " ".join(map(str, SOURCES)) + "; do stat -L -c %i /proc/self/fd/$n; done"
    for close_fds in (True, False):
        read, write = os.pipe()
        command = Command(["sh", "-c", script], fds=wanted, stdout=write, close_fds=close_fds)
        with command.spawn() as child:
            os.close(write)
            with open(read) as said:
                inodes = [int(line) for line in said]
            assert child.wait(60).success
        assert inodes == [files[wanted[number]] for number in SOURCES]
