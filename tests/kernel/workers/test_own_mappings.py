"""Memory that is shared with others is a copied process's own, once that is confined."""

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet._workers.own_mappings import SharedMapping

from ...constants import PATIENT_SECONDS
from ..sandbox.taken_away import needs_all

pytestmark = needs_all

SIZE = 3 * mmap.PAGESIZE


@pytest.fixture(autouse=True)
def _nothing_left(nothing_left: Any) -> None:
    """But what is kept of a sandbox for its next child."""
    with ramet.clone(os.getpid, sandbox=ramet.Sandbox()) as child:
        child.result(PATIENT_SECONDS)
    nothing_left.start_again()


def anonymous(_: Path) -> mmap.mmap:
    """Memory of processes that are forked."""
    return mmap.mmap(-1, SIZE)


def of_memfd(_: Path) -> mmap.mmap:
    """A file without a path."""
    memory = os.memfd_create("shared")
    try:
        os.truncate(memory, SIZE)
        return mmap.mmap(memory, SIZE)
    finally:
        os.close(memory)


def of_file(directory: Path) -> mmap.mmap:
    """What a database maps."""
    with (directory / "file").open("w+b") as file:
        file.truncate(SIZE)
        return mmap.mmap(file.fileno(), SIZE)


def of_removed_file(directory: Path) -> mmap.mmap:
    """One whose path is gone."""
    mapped = of_file(directory)
    (directory / "file").unlink()
    return mapped


def of_file_with_a_hole(directory: Path) -> mmap.mmap:
    """Of which the last page is no more: to read that is SIGBUS."""
    mapped = of_removed_file(directory)
    descriptor = next(
        int(name) for name in os.listdir("/proc/self/fd") if is_of(int(name), "file (deleted)")
    )
    os.truncate(descriptor, SIZE - mmap.PAGESIZE)
    return mapped


def is_of(descriptor: int, name: str) -> bool:
    """Whether the descriptor is of a file of that name."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").endswith(name)
    except OSError:
        return False


MAKERS = [anonymous, of_memfd, of_file, of_removed_file, of_file_with_a_hole]


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.__name__)
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[mmap.mmap]:
    """Shared memory of this process."""
    maker: Callable[[Path], mmap.mmap] = request.param
    with maker(tmp_path) as made:
        made[:6] = b"before"
        yield made


def written(memory: mmap.mmap) -> bytes:
    """What was there, when something else has been written."""
    found, memory[:6] = memory[:6], b"HACKED"
    assert memory[:6] == b"HACKED"
    return found


def test_a_confined_copy_writes_to_its_own(shared: mmap.mmap) -> None:
    """It has what its caller had there, and its caller keeps that."""
    with ramet.clone(written, shared, sandbox=ramet.Sandbox()) as child:
        assert child.result(PATIENT_SECONDS) == b"before"
    assert shared[:6] == b"before"


def test_a_copy_without_a_sandbox_shares_it(shared: mmap.mmap) -> None:
    """The test above can fail."""
    with ramet.clone(written, shared) as child:
        assert child.result(PATIENT_SECONDS) == b"before"
    assert shared[:6] == b"HACKED"


left: list[mmap.mmap] = []


def share_memory() -> None:
    """In a template, once."""
    left.append(anonymous(Path()))
    left[0][:6] = b"before"


def written_to_what_is_left() -> bytes:
    return written(left[0])


@pytest.mark.parametrize("spares", [0, 1])
def test_calls_of_a_confined_template_share_none(spares: int) -> None:
    """What setup= has mapped is each call's own."""
    with ramet.Template(
        [__name__], setup=share_memory, sandbox=ramet.Sandbox(), spares=spares
    ) as template:
        calls = [template.clone(written_to_what_is_left) for _ in range(3)]
        assert [call.result(PATIENT_SECONDS) for call in calls] == [b"before"] * 3


@pytest.mark.parametrize(
    ("path", "is_memory"),
    [
        ("/var/lib/file", True),
        ("/dev/zero (deleted)", True),
        ("/dev/shm/psm_1", True),
        ("/memfd:shared (deleted)", True),
        ("/SYSV00000000 (deleted)", True),
        ("/dev/dri/card0", False),
        ("anon_inode:[io_uring]", False),
        ("anon_inode:[perf_event]", False),
        ("socket:[123]", False),
        ("", False),
    ],
)
def test_what_is_copied(path: str, is_memory: bool) -> None:
    """To read a device may do something, and a copy of a ring is none: nothing comes in their place."""
    assert SharedMapping(0, SIZE, mmap.PROT_READ, 0, (1, 1), path).is_memory == is_memory
