import contextlib
import errno
import fcntl
import io
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import pytest

import ramet
from ramet import CloneFlag as F
from ramet import Command, SpawnError

Told: TypeAlias = Callable[..., str]

# Every descriptor with the file that it is; the one that lists the folder is closed by then.
TABLE = """
import os
for name in os.listdir("/proc/self/fd"):
    try:
        held = os.fstat(int(name))
    except OSError:
        continue
    print(name, held.st_ino, os.get_inheritable(int(name)))
"""
NULL = os.stat(os.devnull).st_ino


def table(python_told: Told, **options: object) -> dict[int, int]:
    lines = python_told(TABLE, **options).splitlines()
    return {int(number): int(file) for number, file, _ in map(str.split, lines)}


@pytest.fixture
def files() -> Iterator[list[int]]:
    """Four descriptors, each of a file of its own."""
    made = [os.memfd_create(f"file {number}") for number in range(4)]
    yield made
    for descriptor in made:
        os.close(descriptor)


def inode(descriptor: int) -> int:
    return os.fstat(descriptor).st_ino


@pytest.mark.parametrize(
    "order", [(1, 0, 2, 3), (1, 2, 0, 3), (1, 2, 3, 0), (1, 0, 3, 2), (0, 0, 1, 1), (3, 3, 3, 3)]
)
def test_descriptors_are_renumbered(
    python_told: Told, files: list[int], order: tuple[int, ...], nothing_left: object
) -> None:
    """Two-cycles, three-cycles, four-cycles and copies all arrive where they were asked for."""
    wanted = {target: files[place] for target, place in zip(files, order, strict=True)}
    got = table(python_told, fds=wanted)
    assert {target: got[target] for target in files} == {
        target: inode(source) for target, source in wanted.items()
    }
    assert got.keys() == {0, 1, 2, *files}


def test_what_is_asked_for_is_inherited_and_only_that(
    python_told: Told, files: list[int], nothing_left: object
) -> None:
    """A descriptor under its own number stays open, one that nobody mentioned does not."""
    kept, _, passed, _ = files
    got = table(python_told, fds={kept: kept}, pass_fds=[passed])
    assert got.keys() == {0, 1, 2, kept, passed}
    assert [got[kept], got[passed]] == [inode(kept), inode(passed)]


def test_standard_streams_and_devnull(
    python_told: Told, files: list[int], nothing_left: object
) -> None:
    """Each standard stream can be a descriptor, a file, or DEVNULL; any number can be DEVNULL."""
    with open(files[0], closefd=False) as file:
        got = table(
            python_told,
            stdin=file,
            stderr=subprocess.DEVNULL,
            fds={7: subprocess.DEVNULL, 9: files[1]},
        )
    assert [got[0], got[2], got[7], got[9]] == [inode(files[0]), NULL, NULL, inode(files[1])]
    assert got.keys() == {0, 1, 2, 7, 9}


def test_standard_streams_trade_places(told: Told, nothing_left: object) -> None:
    """The output and the error stream of the caller can be swapped in the child."""
    (out, to_out), (err, to_err) = os.pipe(), os.pipe()
    program = ["sh", "-c", "echo out; echo err >&2"]
    with Command(program, fds={1: to_err, 2: to_out}).spawn() as child:
        assert child.wait(60).success
    assert os.read(out, 100) == b"err\n"
    assert os.read(err, 100) == b"out\n"
    for descriptor in (out, to_out, err, to_err):
        os.close(descriptor)


def test_without_close_fds_what_is_inheritable_stays(
    python_told: Told, files: list[int], nothing_left: object
) -> None:
    """close_fds=False leaves inheritable descriptors, and moves do not touch the caller's table."""
    os.set_inheritable(files[0], True)
    got = table(python_told, close_fds=False, fds={files[1]: files[2], files[2]: files[1]})
    assert got[files[0]] == inode(files[0])
    assert [got[files[1]], got[files[2]]] == [inode(files[2]), inode(files[1])]
    assert files[3] not in got


@pytest.fixture
def thousand() -> Iterator[list[int]]:
    """A thousand inheritable descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = before[1]
    if hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip("needs a limit of 1200 descriptors")
    if before[0] != resource.RLIM_INFINITY and before[0] < 1200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1200, hard))
    first = os.open(os.devnull, os.O_RDONLY)
    many = [first, *(os.dup(first) for _ in range(999))]
    for descriptor in many:
        os.set_inheritable(descriptor, True)
    yield many
    for descriptor in many:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_of_a_thousand_only_what_is_kept_stays(
    python_told: Told, thousand: list[int], nothing_left: object
) -> None:
    """With a thousand descriptors open the child has its own four, and the caller all of them."""
    first, last = thousand[0], thousand[-1]
    got = table(python_told, pass_fds=[last], fds={first: last})
    assert got.keys() == {0, 1, 2, first, last}
    for descriptor in thousand:
        os.fstat(descriptor)


def high(file: int) -> int:
    """The same file, far up in the table."""
    return fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 600)


@pytest.fixture
def far(files: list[int], thousand: list[int]) -> Iterator[list[int]]:
    """The four files among and above a thousand other descriptors."""
    made = [high(file) for file in files]
    yield made
    for descriptor in made:
        os.close(descriptor)


def from_far(python_told: Told, far: list[int]) -> None:
    """Near and far ones, one twice, over each other's places, and DEVNULL between them."""
    near, *_ = os.pipe()
    wanted = {1: 1, 3: far[0], 4: far[1], 5: far[0], 6: near, near: 6, 8: subprocess.DEVNULL}
    os.dup2(far[2], 6)
    expected = {n: inode(source) if source >= 0 else NULL for n, source in wanted.items()}
    got = table(python_told, stdin=far[3], fds=wanted)
    assert got == expected | {0: inode(far[3]), 1: got[1], 2: got[2]}
    os.close(6)


def test_far_descriptors(python_told: Told, far: list[int], nothing_left: object) -> None:
    """Sources far up in a large table arrive as near ones do."""
    ramet.clone(from_far, python_told, far).result()


def test_far_descriptors_of_other_tasks(
    python_told: Told, far: list[int], nothing_left: object
) -> None:
    """Each has its own: another thread, and a function with another table than its caller's."""

    def fn(source: int = far[0]) -> int:
        if source == far[0]:
            os.dup2(far[1], source)
        return table(python_told, fds={3: source})[3]

    expected = inode(far[1])
    assert ramet.clone(fn, flags=F.VM).result() == expected
    assert ramet.clone(fn, flags=F.VM | F.SIGHAND | F.THREAD).result() == expected
    assert inode(far[0]) != expected
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(fn, far[1]).result() == expected


@pytest.mark.parametrize("flags", [F.NEWPID, F.PARENT, F.FILES, F.NEWUSER], ids=str)
def test_far_descriptors_with_flags(far: list[int], flags: F, nothing_left: object) -> None:
    """Also where the child does not know its maker, or may not look into it."""
    if flags & F.NEWPID:
        flags |= F.NEWUSER
    reading, writing = os.pipe()
    program = ["readlink", "/proc/self/fd/5"]
    with open(reading, "rb") as output, open(high(writing), "wb") as far_end:
        os.close(writing)
        Command(program, fds={1: far_end, 5: far[2]}, flags=flags).spawn().wait(60)
        far_end.close()
        assert b"file 2" in output.read()


def test_a_far_descriptor_that_is_not_open(thousand: list[int], nothing_left: object) -> None:
    """It is the same error as for a near one."""
    with pytest.raises(SpawnError, match=r"dup3.*Bad file descriptor"):
        Command(["true"], fds={1: thousand[-1] + 50}).spawn()


def test_the_callers_table_is_not_touched(files: list[int], nothing_left: object) -> None:
    """The child moves and closes in a table of its own, though it shared the caller's at its clone call."""
    before = {name: os.readlink(f"/proc/self/fd/{name}") for name in map(str, files)}
    a, b, *_ = files
    for _ in range(20):
        assert Command(["true"], fds={a: b, b: a, 0: a}).spawn().wait(60).success
    assert {name: os.readlink(f"/proc/self/fd/{name}") for name in before} == before
    assert not any(os.get_inheritable(descriptor) for descriptor in files)


def test_descriptors_of_other_options_need_not_stay(
    python_told: Told, nothing_left: object
) -> None:
    """What an option is about is there when its step comes, and gone in the program."""
    with open("/proc/self/ns/user", "rb") as namespace:
        high = fcntl.fcntl(namespace, fcntl.F_DUPFD_CLOEXEC, 200)
        # It is of the wrong kind, and not a descriptor that is closed already.
        wrong = pytest.raises(OSError, match=r"setns.*Invalid argument")
        with open(high, "rb") as file, wrong:
            Command(["true"], namespaces={"net": file}).spawn()


def test_an_executable_may_be_read_from_a_descriptor(told: Told, nothing_left: object) -> None:
    """A file of /proc/self/fd that the child keeps is found under its new number."""
    with open("/bin/echo", "rb") as file:
        assert (
            told(["echo", "here"], executable="/proc/self/fd/8", fds={8: file.fileno()}) == "here"
        )


def test_no_number_is_free_above_the_highest(files: list[int], nothing_left: object) -> None:
    """What is saved on the way needs one there: that is EMFILE, by which others know to wait."""
    first, second, *_ = files
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.closing(io.FileIO(fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, 150))) as highest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno() + 1, hard))
        try:
            with pytest.raises(SpawnError) as caught:
                ramet.run(["true"], fds={first: second, second: first}, pass_fds=[highest.fileno()])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
    assert "raise it (ulimit -n), or name lower numbers" in str(caught.value)
