"""Memory that is shared with others is a copied process's own, once that is confined."""

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet._workers.in_template import own_mappings
from ramet._workers.in_template.own_mappings import SharedMapping

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


@pytest.fixture
def of_any_size_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may have holes is of a GiB or more, which would be slow to copy."""
    monkeypatch.setattr(own_mappings, "_LARGE", 1)


@pytest.mark.usefixtures("of_any_size_is_large")
def test_what_is_on_a_disk_alone_is_copied(tmp_path: Path) -> None:
    """What is not in memory is no hole there."""
    with (tmp_path / "file").open("w+b") as file:
        file.write(b"before".ljust(SIZE))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, SIZE, os.POSIX_FADV_DONTNEED)
        memory = mmap.mmap(file.fileno(), SIZE)
    (tmp_path / "file").unlink()
    with memory, ramet.clone(written, memory, sandbox=ramet.Sandbox()) as child:
        assert child.result(PATIENT_SECONDS) == b"before"


@pytest.mark.usefixtures("of_any_size_is_large")
@pytest.mark.parametrize("maker", [anonymous, of_memfd])
def test_what_has_holes_is_copied(maker: Callable[[Path], mmap.mmap], tmp_path: Path) -> None:
    """All that has been written to: the first page and the last."""
    with maker(tmp_path) as memory:
        memory[:1] = memory[-1:] = b"."
        with ramet.clone(bytes, memory, sandbox=ramet.Sandbox()) as child:
            assert child.result(PATIENT_SECONDS) == bytes(memory)


def proc_of(directory: Path, swapped_kib: int) -> int:
    """A directory as /proc, of a process whose second mapping of three has that on a swap area."""
    (directory / "self").mkdir()
    swapped = {"1000": 0, "2000": swapped_kib, "3000": 0}
    lines = [
        f"{start.zfill(8)}-{start.zfill(8)} rw-s 00000000 00:01 7   /dev/zero (deleted)\n"
        f"Size: 4 kB\nSwap:    {kib} kB\nSwapPss: 0 kB\n"
        for start, kib in swapped.items()
    ]
    (directory / "self" / "smaps").write_text("".join(lines))
    return os.open(directory, os.O_PATH)


@pytest.mark.parametrize("path", ["/dev/zero (deleted)", "/memfd:a", "/dev/shm/a", "/SYSV0", "/a"])
@pytest.mark.parametrize("swapped_kib", [0, 4])
@pytest.mark.parametrize("size", [(1 << 30) - 1, 1 << 30], ids=["small", "large"])
def test_what_may_have_holes(tmp_path: Path, path: str, swapped_kib: int, size: int) -> None:
    """What is large, is on no disk, and has nothing on a swap area."""
    proc = proc_of(tmp_path, swapped_kib)
    mapping = SharedMapping(0x2000, size, mmap.PROT_READ, 0, (1, 7), path)
    expected = size == 1 << 30 and path != "/a" and swapped_kib == 0
    assert own_mappings._may_have_holes(proc, mapping) == expected
    os.close(proc)


def test_a_file_is_known_as_it_is_mapped(tmp_path: Path) -> None:
    """Where stat() tells another device than the kernel does of what is mapped."""
    with of_file(tmp_path), (tmp_path / "file").open() as file, open(os.devnull) as other:
        proc = own_mappings.open_proc()
        mapped = [each.file for each in own_mappings._shared(proc) if each.path == file.name]
        assert mapped == [own_mappings._as_mapped(proc, file.fileno())]
        assert own_mappings._as_mapped(proc, other.fileno()) not in mapped
        os.close(proc)
