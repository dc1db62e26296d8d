"""How calls of an executor end: deadlines, cancellation, memory, deaths, and what is left of them."""

import asyncio
import gc
import os
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, as_completed, wait
from concurrent.futures import TimeoutError as LateError
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import ramet
from ramet import ChildDied, DeadlineExceeded, Executor
from ramet import CloneFlag as F
from ramet._kernel import procfs
from ramet._workers.executor import interpreter_end

from ...activities import hang
from ...constants import PATIENT_SECONDS, SECONDS, SLOWER, repeated
from ...full_tables import free_descriptors
from ...waiting import alarm, in_threads, nothing_unreaped, until

pytestmark = pytest.mark.usefixtures("nothing_left")

MEGABYTE = 1 << 20
NO_CORE: dict[str, Any] = {"rlimits": {"CORE": 0}}


def takes(seconds: float) -> None:
    """A call that takes so long."""
    select.select([], [], [], seconds)


def starts_a_daemon(place: str) -> None:
    """Starts one that has left its session and its parent, which writes its name there; and hangs."""
    import subprocess
    import time

    script = f"(sleep 1000 & echo begun > {place}.part; mv {place}.part {place}; wait) & exit"
    subprocess.run(["setsid", "sh", "-c", script], check=True)
    time.sleep(1000)


def test_a_deadline_that_is_over_at_once_is_one() -> None:
    """A call is killed for it, also one that has not begun yet, and by no other signal."""
    with Executor(1, timeout=0) as executor:
        for _ in range(repeated(10)):
            error = executor.submit(hang).exception(PATIENT_SECONDS)
            assert isinstance(error, DeadlineExceeded)
            assert (error.status.signal, error.status.reason) == (signal.SIGKILL, "deadline")
            # What asks for its stack wakes this one up, so that it may come to its end.
            error = executor.submit(signal.pause).exception(PATIENT_SECONDS)
            assert isinstance(error, DeadlineExceeded)


def marked_processes(mark: str) -> list[str]:
    """The programs whose environment has the mark."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text())
    return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that a call makes; all that a call starts carries its name, and nothing of that is left."""
    monkeypatch.setenv("RAMET_MARK", str(tmp_path / "begun"))
    yield tmp_path / "begun"
    until(lambda: all("sleep" not in one for one in marked_processes(f"RAMET_MARK={tmp_path}/")))


def test_a_cancelled_call_ends_with_all_that_it_started(place: Path) -> None:
    """Daemons, too."""
    with Executor(1) as executor:
        future = executor.submit(starts_a_daemon, str(place))
        until(place.exists)
        assert future.cancel()
        assert future.tree_ended_by in {"pid namespace", "cgroup", "walk", None}
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        assert future.tree_ended_by in {"pid namespace", "cgroup", "walk"}


class Aborts:
    """A function without a name, which nobody can show."""

    def __call__(self, *_: object) -> None:
        os.abort()

    def __repr__(self) -> str:
        raise ValueError("it cannot be shown")


def test_what_cannot_be_shown_hides_no_death() -> None:
    """Its error says how the call ended, and of what kind its function was."""
    with Executor(1, **NO_CORE) as executor:
        for call in (executor.submit(Aborts()), executor.submit(Aborts(), 10**10_000)):
            error = call.exception(PATIENT_SECONDS)
            assert isinstance(error, ChildDied)
            assert error.status.signal == signal.SIGABRT
            assert "Aborts object" in error.call


def test_a_deadline_ends_all_that_a_call_started(place: Path) -> None:
    """It counts from the start of the call: what waited for a worker has as much."""
    with Executor(1, timeout=4.0 * SLOWER) as executor:
        first = executor.submit(starts_a_daemon, str(place))
        second: Any = executor.submit(select.select, [], [], [], 1.0)
        error = first.exception(PATIENT_SECONDS)
        assert isinstance(error, DeadlineExceeded)
        assert isinstance(error, TimeoutError)
        assert "time.sleep(1000)" in error.stack or "starts_a_daemon" in error.stack
        assert place.exists()
        assert second.result(PATIENT_SECONDS) == ([], [], [])


def test_a_call_that_returns_leaves_no_process(place: Path) -> None:
    """What it has started ends with it."""

    def starts(place: str) -> int:
        import subprocess

        return subprocess.Popen(["sleep", "1000"]).pid

    with Executor(1) as executor:
        assert executor.submit(starts, str(place)).result(PATIENT_SECONDS) > 0
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1


def test_kill_workers_ends_calls_and_what_they_started(place: Path) -> None:
    """Pending calls are cancelled."""
    executor = Executor(1)
    first = executor.submit(starts_a_daemon, str(place))
    second = executor.submit(abs, -1)
    until(place.exists)
    executor.kill_workers()
    error = first.exception(PATIENT_SECONDS)
    assert isinstance(error, ChildDied)
    assert error.status.signal == signal.SIGKILL
    assert second.cancelled()
    executor.shutdown()


def starts_and_reads(fifo: Path) -> bytes:
    """With a daemon and a child of its own."""
    import subprocess

    subprocess.Popen(["sleep", "1000"])
    subprocess.run(["sh", "-c", "setsid sleep 1000 & exit"], check=True)
    with fifo.open("rb", buffering=0) as told:
        return told.read(1)


@pytest.mark.parametrize("how", ["returns", "cancelled"])
def test_a_tree_ends_where_no_descriptor_is_free_to_find_it(place: Path, how: str) -> None:
    """The process of the call needs none of its caller's."""
    fifo = place.with_name("fifo")
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    with Executor(1, spares=0, preload=["cloudpickle", __name__]) as executor:
        future = executor.submit(starts_and_reads, fifo)
        with fifo.open("wb", buffering=0) as told, free_descriptors(0):
            if how == "returns":
                told.write(b"x")
                assert future.result(PATIENT_SECONDS) == b"x"
            else:
                assert future.cancel()
            until(lambda: not executor._pool._awaited)


def blocks_all(then: Path) -> None:
    """No handler of a signal runs any more."""
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    then.touch()


def ignores_all(then: Path) -> None:
    """Each signal for which that can be said."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError):
            signal.signal(number, signal.SIG_IGN)
    then.touch()


def stops(then: Path) -> None:
    """As at Ctrl-Z, when another process of the call goes on."""
    stopped = os.getpid()
    if os.fork() == 0:
        os.kill(stopped, signal.SIGSTOP)
        then.touch()
        signal.pause()


def becomes_a_program(then: Path) -> None:
    """With a child of its own."""
    os.execvp("sh", ["sh", "-c", f"sleep 1000 & echo >'{then}'; sleep 1000"])


@pytest.mark.parametrize("prevents", [blocks_all, ignores_all, stops, becomes_a_program])
def test_a_call_that_hears_no_signal_ends_with_what_it_started(
    place: Path, prevents: Callable[[Path], None]
) -> None:
    """Where a signal would have it end its own tree, that is walked."""

    def starts(place: Path) -> None:
        import subprocess

        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        subprocess.run(["sh", "-c", "(sleep 1000; sleep 1000) & exit"], check=True)
        prevents(place)
        time.sleep(1000)

    with Executor(1, preload=["cloudpickle", __name__]) as executor:
        future = executor.submit(starts, place)
        until(place.exists)
        assert future.cancel()
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1


def test_terminate_workers_lets_calls_clean_up(tmp_path: Path) -> None:
    """They get SIGTERM, which a handler may answer."""
    begun, cleaned = tmp_path / "begun", tmp_path / "cleaned"

    def cleans(begun: Path, cleaned: Path) -> None:
        import os
        import signal
        import sys

        def handler(*_: object) -> None:
            cleaned.touch()
            sys.exit(5)

        # A sleep does not end for a signal that comes just before it.
        woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes)
        signal.signal(signal.SIGTERM, handler)
        begun.touch()
        os.read(woken, 1)

    executor = Executor(1, preload=["pathlib", "cloudpickle"])
    future = executor.submit(cleans, begun, cleaned)
    until(begun.exists)
    executor.terminate_workers()
    error = future.exception(PATIENT_SECONDS)
    assert isinstance(error, ChildDied)
    assert error.status.code == 5
    assert cleaned.exists()
    executor.shutdown()


def test_asyncio_cancels_a_running_call() -> None:
    """run_in_executor under wait_for: the call is killed, and the next one runs."""

    async def main(executor: Executor) -> int:
        loop = asyncio.get_running_loop()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(loop.run_in_executor(executor, time.sleep, 1000), 0.5)
        return await loop.run_in_executor(executor, abs, -1)

    with Executor(1) as executor:
        assert asyncio.run(main(executor)) == 1


def is_too_much(error: BaseException | None) -> bool:
    """As it is told with a cgroup and without."""
    return isinstance(error, MemoryError) or "out of memory" in str(error)


def test_a_call_beyond_its_memory_fails_alone() -> None:
    """Its reason is "out of memory", or it got a MemoryError; another call beside it has its result."""

    def fills(size: int) -> int:
        return sum(bytearray(b"x") * size)

    with Executor(2, memory="64M", preload=["cloudpickle"]) as executor:
        greedy = executor.submit(fills, 512 * MEGABYTE)
        modest = executor.submit(fills, MEGABYTE)
        assert is_too_much(greedy.exception(PATIENT_SECONDS))
        assert modest.result(PATIENT_SECONDS) == MEGABYTE * ord("x")


def test_memory_of_the_template_is_not_counted() -> None:
    """A call that only reads may have a limit below what its template has."""

    def fills() -> None:
        import builtins

        builtins.table = bytearray(b"x") * (100 << 20)  # type: ignore[attr-defined]

    with (
        ramet.Template(["cloudpickle"], setup=fills) as template,
        Executor(1, template, memory="32M") as executor,
    ):
        assert executor.submit(eval, "sum(table[::4096])").result(PATIENT_SECONDS) > 0


DEATHS: dict[str, tuple[Callable[[], object], str]] = {
    "exit": (lambda: os._exit(7), "exited with 7"),
    "sys.exit": (lambda: sys.exit(8), "exited with 8"),
    "signal": (lambda: os.kill(os.getpid(), signal.SIGTERM), "killed by SIGTERM"),
    "abort": (lambda: os.abort(), "killed by SIGABRT"),
    "stack": (lambda: __import__("ctypes").string_at(0), "killed by SIGSEGV"),
}


@pytest.mark.parametrize("how", DEATHS)
def test_a_death_is_told(how: str) -> None:
    """How it ended, which call it was, and what it used."""
    fn, text = DEATHS[how]
    with Executor(1, preload=["cloudpickle"], **NO_CORE) as executor:
        error = executor.submit(fn).exception(PATIENT_SECONDS)
        assert isinstance(error, ChildDied)
        assert text in str(error)
        assert "lambda" in error.call
        assert isinstance(error.status.rusage, resource.struct_rusage)
        assert error.status.rusage.ru_maxrss > 0


AS_EXPECTED: list[Callable[[Any], bool]] = [
    lambda future: future.exception(0).status.signal == signal.SIGABRT,
    lambda future: isinstance(future.exception(0), DeadlineExceeded),
    lambda future: is_too_much(future.exception(0)),
    lambda future: future.result(0) == "left one",
    lambda future: isinstance(future.exception(0), ramet.ResultError),
]


def test_deaths_of_all_kinds_leave_every_future_resolved() -> None:
    """Crashes, hangs, greed, grandchildren and what cannot be pickled, each with its own reason."""

    def misbehaves(kind: int) -> object:
        import os
        import subprocess
        import threading
        import time

        if kind == 0:
            os.abort()
        if kind == 1:
            time.sleep(1000)
        if kind == 2:
            return len(bytearray(b"x") * (1 << 30))
        if kind == 3:
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
            return "left one"
        return threading.Lock()

    with Executor(2, timeout=3.0, memory="64M", preload=["cloudpickle"], **NO_CORE) as executor:
        futures = [executor.submit(misbehaves, n % 5) for n in range(15)]
        wait(futures, PATIENT_SECONDS)
        assert [AS_EXPECTED[n % 5](future) for n, future in enumerate(futures)] == [True] * 15


def test_an_exception_leaves_a_reused_process_serving() -> None:
    """A death is followed by another process; the calls behind it do not notice."""

    def fails(kind: str) -> int:
        import os

        if kind == "raise":
            raise ValueError(kind)
        if kind == "die":
            os._exit(1)
        return os.stat("/proc/self").st_ino

    with Executor(1, reuse=100, preload=["cloudpickle"]) as executor:
        kinds = ["", "raise", "", "die", "", ""]
        futures = [executor.submit(fails, kind) for kind in kinds]
        wait(futures, PATIENT_SECONDS)
        a, raised, b, died, c, d = futures
        assert isinstance(raised.exception(), ValueError)
        assert isinstance(died.exception(), ChildDied)
        assert a.result() == b.result() != c.result() == d.result()


def test_a_pending_call_can_be_cancelled() -> None:
    """It never runs."""
    with Executor(1) as executor:
        running = executor.submit(time.sleep, 1000)
        until(running.running)
        pending = executor.submit(abs, -1)
        assert pending.cancel()
        with pytest.raises(CancelledError):
            pending.result(0)
        assert running.cancel()
        assert not running.cancel() or running.cancelled()


def test_a_call_that_is_done_cannot_be_cancelled() -> None:
    """As with every future."""
    with Executor(1) as executor:
        future = executor.submit(abs, -1)
        future.result(PATIENT_SECONDS)
        assert not future.cancel()


def test_shutdown_can_cancel_what_is_pending() -> None:
    """What runs is done first; nothing hangs."""
    executor = Executor(1)
    running = executor.submit(takes, 0.3)
    until(running.running)
    pending = [executor.submit(abs, -1) for _ in range(5)]
    executor.shutdown(cancel_futures=True)
    assert running.done()
    assert not running.cancelled()
    assert all(future.cancelled() for future in pending)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, -1)


def test_a_shutdown_that_was_interrupted_can_be_repeated() -> None:
    """Each time it waits for the call that runs, and for the end of its process."""
    with ramet.Template() as template:
        executor = Executor(1, template=template)
        future = executor.submit(hang)
        for _ in range(2):
            with pytest.raises(InterruptedError), alarm(0.2):
                executor.shutdown()
        future.cancel()
        executor.shutdown()
        assert (executor._pool._tally.active, len(executor._pool._awaited)) == (0, 0)


def test_an_executor_that_was_interrupted_as_it_was_made_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also at the last step, when it has all that it needs."""

    def interrupts(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(interpreter_end.pools, "add", interrupts)
    with ramet.Template() as template, pytest.raises(KeyboardInterrupt):
        Executor(1, template=template)
    gc.collect()


def test_a_map_that_is_late_says_so() -> None:
    """TimeoutError, and what has not begun is cancelled."""
    with Executor(1) as executor:
        with pytest.raises(LateError):
            list(executor.map(takes, [0.0, 1000.0], timeout=1.0))
        executor.kill_workers()


def test_map_reads_no_more_than_its_buffer() -> None:
    """An iterable without end, of which two calls are ahead."""
    read: list[int] = []

    def numbers() -> Iterator[int]:
        while True:
            read.append(len(read))
            yield read[-1]

    with Executor(2) as executor:
        results = executor.map(abs, numbers(), buffersize=2)
        assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
        assert len(read) <= 7
        results.close()  # type: ignore[attr-defined]


VALUE = "__import__('builtins').value"


def test_an_initializer_runs_in_each_process() -> None:
    """Once, before its first call; one that fails is the exception of the call."""

    def sets(value: int) -> None:
        import builtins

        builtins.value = getattr(builtins, "value", 0) + value  # type: ignore[attr-defined]

    with Executor(1, reuse=2, initializer=sets, initargs=(5,)) as executor:
        assert [executor.submit(eval, VALUE).result(PATIENT_SECONDS) for _ in range(4)] == [5] * 4


@pytest.mark.parametrize("reuse", [1, 3])
def test_what_is_not_prepared_runs_no_call(reuse: int) -> None:
    """An initializer that fails is the exception of the call, in each process that is made."""
    with Executor(1, reuse=reuse, initializer=divmod, initargs=(1, 0)) as executor:
        for _ in range(4):
            error = executor.submit(abs, -1).exception(PATIENT_SECONDS)
            assert isinstance(error, ZeroDivisionError)


def test_a_call_that_raises_leaves_its_process_prepared() -> None:
    """Only where it was the first may the initializer have raised as well."""
    with Executor(1, reuse=4, initializer=abs, initargs=(-1,)) as executor:
        first = executor.submit(os.getppid).result(PATIENT_SECONDS)
        assert isinstance(
            executor.submit(divmod, 1, 0).exception(PATIENT_SECONDS), ZeroDivisionError
        )
        assert executor.submit(os.getppid).result(PATIENT_SECONDS) == first


def test_what_has_ended_trees_is_told_when_it_has() -> None:
    """With reuse, what a call has started lives on until its process has ended."""
    with Executor(1, reuse=2) as executor:
        future = executor.submit(abs, -1)
        assert (future.result(PATIENT_SECONDS), future.tree_ended_by) == (1, None)
        other = executor.submit(os._exit, 3)
        assert isinstance(other.exception(PATIENT_SECONDS), ChildDied)
        assert future.tree_ended_by == other.tree_ended_by
        assert future.tree_ended_by in {"pid namespace", "walk"}


def test_an_executor_that_was_shut_down_writes_to_no_file() -> None:
    """What gets the numbers of its descriptors is others'."""
    executor = Executor(1)
    future = executor.submit(abs, -1)
    assert future.result(PATIENT_SECONDS) == 1
    executor.shutdown()
    others = [os.memfd_create("another") for _ in range(20)]
    executor.shutdown()
    executor.kill_workers()
    executor.terminate_workers()
    future.cancel()
    assert [os.fstat(other).st_size for other in others] == [0] * 20
    for other in others:
        os.close(other)


def test_an_executor_that_nobody_used_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be shut down where none can be started."""
    executor = Executor(1)
    monkeypatch.setattr(threading.Thread, "start", no_room_for_a_thread)
    executor.shutdown()
    executor.shutdown()


def no_room_for_a_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_thread_that_cannot_start_costs_one_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call is refused, and later ones begin when there is room again."""
    with Executor(1) as executor:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_room_for_a_thread)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                executor.submit(abs, -1)
        assert executor.submit(abs, -2).result(PATIENT_SECONDS) == 2


def test_executors_nest() -> None:
    """A call may have one of its own."""

    def nests() -> list[int]:
        import ramet

        with ramet.Executor(1) as inner:
            return list(inner.map(abs, [-1, -2]))

    with Executor(1, preload=["ramet", "cloudpickle"]) as executor:
        assert executor.submit(nests).result(PATIENT_SECONDS) == [1, 2]


def test_threads_submit_at_once() -> None:
    """Every call has its own result."""
    with Executor(2) as executor:
        results: list[int] = []

        def submits() -> None:
            futures = [executor.submit(abs, -n) for n in range(20)]
            results.extend(future.result(PATIENT_SECONDS) for future in futures)

        in_threads(4, submits)
    assert sorted(results) == sorted([*range(20)] * 4)


def test_progress_tells_the_counts() -> None:
    """In the end all are done, and those that failed are counted."""
    told: list[Any] = []
    with Executor(2, progress=told.append) as executor:
        wait([executor.submit(int, text) for text in ("1", "x", "3")])
    assert told[-1] == (3, 0, 0, 3, 1)
    assert told[-1].failed == 1
    assert all(one.pending >= 0 and one.running <= 2 for one in told)


def test_progress_draws_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """By rich, and on standard error: the output is the program's."""
    pytest.importorskip("rich")
    with Executor(2, progress=True) as executor:
        wait([executor.submit(abs, -n) for n in range(5)])
    written = capsys.readouterr()
    assert "5/5" in written.err
    assert not written.out


def test_output_goes_where_the_callers_goes(capfd: pytest.CaptureFixture[str]) -> None:
    """And is complete when the result is there."""
    with Executor(1) as executor:
        future = executor.submit(print, "said by a call")
        future.result(PATIENT_SECONDS)
        assert capfd.readouterr().out == "said by a call\n"
        assert (future.stdout, future.stderr) == (None, None)


def test_captured_output_of_a_call_that_died_is_kept() -> None:
    """What it, and programs that it started, had written by then."""

    def writes() -> None:
        import os
        import subprocess

        subprocess.run(["echo", "by a program"], check=True)
        os.write(2, b"by itself")
        os._exit(1)

    with Executor(1, capture_output=True, preload=["cloudpickle"]) as executor:
        future = executor.submit(writes)
        future.exception(PATIENT_SECONDS)
        assert (future.stdout, future.stderr) == ("by a program\n", "by itself")


def test_an_executor_that_nobody_refers_to_ends() -> None:
    """Its calls are done first; what is left is looked at."""
    future = Executor(1).submit(abs, -1)
    assert future.result(PATIENT_SECONDS) == 1


def test_a_copy_of_the_caller_cannot_use_its_executor() -> None:
    """os.fork's child is told; the executor goes on."""
    with Executor(1) as executor:
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1

        def refused() -> str:
            try:
                executor.submit(abs, -1)
            except RuntimeError as error:
                return str(error)
            return ""

        with ramet.clone(refused) as child:
            assert "make one here" in child.result(PATIENT_SECONDS)
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None], ids=["ignored", "handled"])
def test_what_the_caller_does_with_sigchld_is_no_matter(handler: Any) -> None:
    """With SIG_IGN the kernel reaps; how a call ended may then not be known, its result is."""
    before = signal.signal(signal.SIGCHLD, handler)
    try:
        with Executor(2) as executor:
            assert list(executor.map(abs, range(-6, 0))) == [6, 5, 4, 3, 2, 1]
            assert isinstance(executor.submit(os._exit, 3).exception(PATIENT_SECONDS), ChildDied)
            with pytest.raises(ValueError, match="non-negative"):
                executor.submit(takes, -1).result(PATIENT_SECONDS)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_full_descriptor_table_is_one_error() -> None:
    """Of the call that met it; later ones run."""
    with Executor(1, spares=0) as executor:
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        until(lambda: not executor._pool._awaited)  # its descriptors are closed
        held = []
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 40, limit[1]))
        try:
            with suppress(OSError):
                while True:
                    held.append(os.dup(0))
            error = executor.submit(abs, -1).exception(SECONDS)
            assert isinstance(error, OSError | ramet.CloneError), error
        finally:
            for descriptor in held:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
    until(nothing_unreaped)  # the init of the namespace that nobody was told of


@pytest.mark.parametrize("flags", [F.NEWUSER, F.NEWUSER | F.NEWNS], ids=str)
def test_nothing_is_left_where_a_pid_namespace_cannot_be_left_again(flags: F) -> None:
    """In a user namespace without a pid namespace of its own no call is in one, and the executor works."""
    maps = {"setgroups": "deny", "uid_map": f"0 {os.geteuid()} 1", "gid_map": f"0 {os.getegid()} 1"}

    def in_copy() -> tuple[list[int], list[str]]:
        for name, text in maps.items():
            Path(f"/proc/self/{name}").write_text(text)
        results: list[int] = []
        for _ in range(2):
            with Executor(1, timeout=PATIENT_SECONDS) as executor:
                results.append(executor.submit(abs, -len(results)).result(PATIENT_SECONDS))
        until(nothing_unreaped)
        return results, [procfs.named_stat(pid)[0] for pid in procfs.children(os.getpid())]

    assert ramet.clone(in_copy, flags=flags).result(PATIENT_SECONDS) == ([0, 1], [])


def test_results_come_as_they_are_done() -> None:
    """concurrent.futures' own functions take these futures."""
    with Executor(2) as executor:
        slow, fast = (executor.submit(takes, seconds) for seconds in (1.0, 0.0))
        assert next(as_completed([slow, fast], PATIENT_SECONDS)) is fast


def test_a_call_never_waits_behind_another() -> None:
    """With reuse, too: a process that is busy gets no second call while another is free."""
    with Executor(2, reuse=10) as executor:
        slow = executor.submit(time.sleep, 1000)
        until(slow.running)
        assert [executor.submit(abs, -n).result(PATIENT_SECONDS) for n in range(6)] == [*range(6)]
        assert not slow.done()
        slow.cancel()


def test_callbacks_are_called_once() -> None:
    """Of calls that are done and of those that are cancelled as they run."""
    seen: list[str] = []
    with Executor(1) as executor:
        done = executor.submit(abs, -1)
        done.add_done_callback(lambda _: seen.append("done"))
        done.result(PATIENT_SECONDS)
        running = executor.submit(time.sleep, 1000)
        running.add_done_callback(lambda _: seen.append("cancelled"))
        until(running.running)
        running.cancel()
    assert seen == ["done", "cancelled"]
