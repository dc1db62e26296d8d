"""What multiprocessing and loky leave in /dev/shm, where a call ends with all that it has started."""

import mmap
import multiprocessing
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import ChildDied, Executor, clone
from ramet._workers.executor import processes
from ramet._workers.in_call import trackers

from ...constants import PATIENT_SECONDS
from ...waiting import until

SHARED = Path("/dev/shm")
PRELOAD = ["joblib", "numpy"]

# What nobody closes: a call ends with its process, and not with its function.
kept: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_in_memory() -> Iterator[None]:
    """All that this user has there afterwards was there before, but what others have for a while."""
    before = set(_entries())
    yield
    left = set(_entries()) - before
    until(lambda: left.isdisjoint(_entries()), PATIENT_SECONDS)


def _entries() -> Iterator[Path]:
    for path in SHARED.iterdir():
        with suppress(FileNotFoundError):  # another has removed it
            if path.stat().st_uid == os.geteuid():
                yield path


@pytest.fixture(autouse=True)
def no_psutil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of loky ask it by their pid, which is another's in the /proc of this process."""
    (tmp_path / "psutil.py").write_text("raise ImportError('a test has hidden it')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.fixture
def may_leave(nothing_in_memory: None) -> Iterator[None]:
    """What there was no time to remove. Tests beside this one have memory there as well, which stays."""
    before = set(_entries())
    yield
    left = set(_entries()) - before
    until(lambda: _has_removed(left), PATIENT_SECONDS)


def _has_removed(left: set[Path]) -> bool:
    """Remove those of them that no process has, as all that a call has started ends with it."""
    mapped = _mapped()
    for path in left.intersection(_entries()):
        with suppress(FileNotFoundError):  # another has removed it
            if path.is_dir():
                _remove_folder(path)
            elif path.stat().st_ino not in mapped:
                path.unlink()
    return left.isdisjoint(_entries())


def _remove_folder(path: Path) -> None:
    """Joblib's: others hold what nobody has mapped, such as the layer of a sandbox."""
    if path.name.startswith("joblib_memmapping_folder_"):
        shutil.rmtree(path)


def _mapped() -> set[int]:
    """The files there, by their inodes, since a semaphore is made under another name than it has then."""
    found = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # it has ended, or is another user's
            lines = maps.read_text(errors="replace").splitlines()
            found |= {int(line.split(None, 5)[4]) for line in lines if f" {SHARED}/" in line}
    return found


def _pool(method: str) -> list[int]:
    kept.append(multiprocessing.get_context(method).Pool(2))
    found: list[int] = kept[-1].map(abs, [-1, -2])
    return found


def _queue() -> int:
    kept.append(multiprocessing.Queue())
    kept[-1].put(3)
    found: int = kept[-1].get()
    return found


def _loky() -> list[int]:
    from joblib import Parallel, delayed

    found: list[int] = Parallel(n_jobs=2)(delayed(abs)(-n) for n in range(4))
    return found


def _loky_with_arrays() -> list[float]:
    import numpy as np
    from joblib import Parallel, delayed

    large = np.ones(1 << 16)
    sums = Parallel(n_jobs=2, max_nbytes=1000)(delayed(np.sum)(large) for _ in range(2))
    return [float(one) for one in sums]


CALLS: list[tuple[Callable[..., Any], tuple[Any, ...], Any]] = [
    (_pool, ("spawn",), [1, 2]),
    (_pool, ("fork",), [1, 2]),
    (_pool, ("forkserver",), [1, 2]),
    (_queue, (), 3),
    (_loky, (), [0, 1, 2, 3]),
    (_loky_with_arrays, (), [65536.0] * 2),
]


@pytest.mark.parametrize(("fn", "args", "expected"), CALLS)
def test_a_call_leaves_nothing(
    fn: Callable[..., Any], args: tuple[Any, ...], expected: Any
) -> None:
    """What it has not closed itself."""
    with Executor(1, preload=PRELOAD) as executor:
        assert executor.submit(fn, *args).result(PATIENT_SECONDS) == expected


def test_nor_does_the_last_of_several() -> None:
    """Those before it leave theirs for it: loky's processes serve the next call."""
    with Executor(1, preload=PRELOAD, reuse=len(CALLS)) as executor:
        for fn, args, expected in CALLS:
            assert executor.submit(fn, *args).result(PATIENT_SECONDS) == expected


def test_nor_does_a_process_that_waits_for_another_call() -> None:
    """It ends with the executor."""
    with Executor(1, preload=PRELOAD, reuse=100, capture_output=True) as executor:
        for fn, args, expected in CALLS:
            assert executor.submit(fn, *args).result(PATIENT_SECONDS) == expected


@pytest.mark.usefixtures("may_leave")
def test_one_that_waits_and_does_not_end_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed."""
    monkeypatch.setattr(processes, "_FINISH_SECONDS", 0.1)
    with Executor(1, reuse=100) as executor:
        future = executor.submit(_queue)
        assert future.result(PATIENT_SECONDS) == 3
        until(lambda: executor._pool._processes.idle)
        executor._pool._processes.idle[0].child.send_signal(signal.SIGSTOP)
    assert future.tree_ended_by


def _two_loky_pools() -> list[float]:
    """Of two sizes: the second one takes the first one's place."""
    from joblib import Parallel, delayed

    first = _loky_with_arrays()
    Parallel(n_jobs=3)(delayed(abs)(-n) for n in range(3))
    return first


@pytest.mark.parametrize("fn", [_loky, _loky_with_arrays, _two_loky_pools, _queue])
def test_nothing_is_said_of_it(fn: Callable[[], Any]) -> None:
    """As at the end of an interpreter: what is removed has not leaked."""
    with Executor(1, preload=PRELOAD, capture_output=True) as executor:
        future = executor.submit(fn)
        future.result(PATIENT_SECONDS)
        assert (future.stdout, future.stderr) == ("", "")


def _loky_with_a_slow_thread() -> list[int]:
    """Its thread that manages its processes removes semaphores of theirs, while the others are removed."""
    import importlib

    # The package has multiprocessing's of that name.
    synchronize: Any = importlib.import_module("joblib.externals.loky.backend.synchronize")
    unlink = synchronize.sem_unlink
    begun = threading.Event()
    firsts = [True]

    def slow(name: str) -> None:
        if threading.current_thread().name == "ExecutorManagerThread":
            begun.set()
            select.select([], [], [], 0.3)
        elif firsts:
            firsts.clear()
            begun.wait(0.3)
        unlink(name)

    synchronize.sem_unlink = slow
    return _loky()


def test_nor_of_what_its_own_thread_removes() -> None:
    """The tracker ends after that."""
    with Executor(1, preload=PRELOAD, capture_output=True) as executor:
        futures = [executor.submit(_loky_with_a_slow_thread) for _ in range(3)]
        assert {future.result(PATIENT_SECONDS) and future.stderr for future in futures} == {""}


def test_what_others_have_there_is_not_removed() -> None:
    """By the tests that may leave something."""
    before = set(_entries())
    semaphore = multiprocessing.get_context("spawn").Semaphore()
    with (SHARED / f"others-{os.getpid()}").open("x+b") as file:
        file.truncate(1)
        memory = mmap.mmap(file.fileno(), 1)
    others = set(_entries()) - before
    assert not _has_removed(others)
    assert others <= set(_entries())
    memory.close()
    del semaphore
    until(lambda: _has_removed(others))


def _starting_loky() -> int:
    """Its other processes still start when one of them has the outcome."""
    from joblib.externals.loky import get_reusable_executor

    return int(get_reusable_executor(max_workers=6).submit(abs, -1).result())


def test_nothing_is_said_of_processes_that_start() -> None:
    """Of some calls, as it depends on how far they are."""
    with Executor(3, preload=PRELOAD, capture_output=True) as executor:
        futures = [executor.submit(_starting_loky) for _ in range(9)]
        assert [future.result(PATIENT_SECONDS) for future in futures] == [1] * 9
        assert {(future.stdout, future.stderr) for future in futures} == {("", "")}


def _forkserver() -> str:
    """Its socket lies in a directory of the call's."""
    import multiprocessing
    from multiprocessing.util import get_temp_dir

    process = multiprocessing.get_context("forkserver").Process(target=abs, args=(-1,))
    process.start()
    process.join()
    return str(get_temp_dir())


@pytest.mark.parametrize("reuse", [1, 2])
def test_the_directory_of_its_sockets_is_removed(reuse: int) -> None:
    """With the end of its process."""
    with Executor(1, reuse=reuse) as executor:
        directory = Path(executor.submit(_forkserver).result(PATIENT_SECONDS))
    assert not directory.exists()


def test_folders_of_the_template_stay(tmp_path: Path) -> None:
    """Which others may need that are cloned from it."""

    def registers() -> None:
        from joblib._memmapping_reducer import TemporaryResourcesManager

        kept.append(TemporaryResourcesManager(str(tmp_path)))
        (name,) = kept[-1]._cached_temp_folders.values()
        Path(name).mkdir()

    with ramet.Template(PRELOAD, setup=registers) as template, Executor(1, template) as executor:
        assert executor.submit(_loky).result(PATIENT_SECONDS) == [0, 1, 2, 3]
        assert len(list(tmp_path.glob("joblib_memmapping_folder_*"))) == 1


def _raises() -> None:
    _queue()
    _loky()
    raise KeyError("after that")


def _exits() -> None:
    _queue()
    _loky()
    sys.exit(3)


def test_nor_does_one_that_fails() -> None:
    """By an exception, or by an exit."""
    with Executor(1, preload=PRELOAD) as executor:
        with pytest.raises(KeyError, match="after that"):
            executor.submit(_raises).result(PATIENT_SECONDS)
        with pytest.raises(ChildDied) as died:
            executor.submit(_exits).result(PATIENT_SECONDS)
        assert died.value.status.code == 3


def _shared(text: bytes) -> str:
    memory = SharedMemory(create=True, size=len(text))
    assert memory.buf is not None
    memory.buf[:] = text
    _queue()
    return memory.name


def test_shared_memory_may_be_the_result() -> None:
    """Who gets its name unlinks it."""
    with Executor(1) as executor:
        memory = SharedMemory(executor.submit(_shared, b"a result").result(PATIENT_SECONDS))
    assert memory.buf is not None
    assert bytes(memory.buf[:8]) == b"a result"
    memory.close()
    memory.unlink()


_DEAF = f"""
import signal
signal.signal({signal.SIGTERM:d}, signal.SIG_IGN)
print(flush=True)
signal.pause()
"""


def _with_deaf_process() -> int:
    """It has the pipe of the tracker, and does not end when it is asked to."""
    from joblib.externals.loky.backend.resource_tracker import _resource_tracker as tracker

    _loky()
    deaf = subprocess.Popen(
        [sys.executable, "-c", _DEAF], stdout=subprocess.PIPE, pass_fds=[tracker._fd]
    )
    assert deaf.stdout is not None
    deaf.stdout.readline()
    return 7


@pytest.mark.usefixtures("may_leave")
def test_one_that_does_not_end_holds_no_result_up() -> None:
    """For long: it is killed with the call."""
    with Executor(1, preload=PRELOAD) as executor:
        assert executor.submit(_with_deaf_process).result(PATIENT_SECONDS) == 7


def _never_ends() -> int:
    from multiprocessing.util import Finalize

    Finalize(None, signal.pause, exitpriority=1)
    _queue()
    return 8


def _fails_in_its_finalizer() -> int:
    from multiprocessing.util import Finalize

    Finalize(None, divmod, (1, 0), exitpriority=1)
    _queue()
    return 9


@pytest.mark.usefixtures("may_leave")
@pytest.mark.parametrize(("fn", "expected"), [(_never_ends, 8), (_fails_in_its_finalizer, 9)])
def test_finalizers_hold_no_result_up(fn: Callable[[], int], expected: int) -> None:
    """They are functions of others, which may fail, or hang before the others are called."""
    with Executor(1) as executor:
        assert executor.submit(fn).result(PATIENT_SECONDS) == expected


def _run_beside_those_of_a_template() -> list[str]:
    """This process has the number of its template, and is it."""
    from multiprocessing.util import Finalize

    found: list[str] = []
    Finalize(None, found.append, ("the template's",), exitpriority=1)
    of_template = trackers.registered_finalizers()
    Finalize(None, found.append, ("the call's",), exitpriority=1)
    trackers._finalize(of_template)
    return found


def test_finalizers_of_a_template_with_the_same_number() -> None:
    """In a container both may be 2: those of the call are run alone."""
    with clone(_run_beside_those_of_a_template) as child:
        assert child.result(PATIENT_SECONDS) == ["the call's"]


def _has_no_room_for_threads() -> int:
    _pool("spawn")
    threading.stack_size(1 << 47)  # more than an address space has
    return 10


@pytest.mark.usefixtures("may_leave")
def test_without_room_for_a_thread() -> None:
    """No finalizer runs then, and the call has its outcome."""
    with Executor(1) as executor:
        assert executor.submit(_has_no_room_for_threads).result(PATIENT_SECONDS) == 10


def test_a_tracker_of_another_process_is_not_waited_for() -> None:
    """That of this one's parent is this one's as well, and lives on."""
    resource_tracker.ensure_running()
    child = os.fork()
    if child == 0:
        found = trackers._own_trackers(["multiprocessing.resource_tracker"])
        os._exit(0 if found == [] else 1)
    assert os.waitpid(child, 0) == (child, 0)
    own = trackers._own_trackers(["multiprocessing.resource_tracker"])
    assert own == [resource_tracker._resource_tracker]
