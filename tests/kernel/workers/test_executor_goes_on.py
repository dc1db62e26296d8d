"""Whatever a call, a callback or the caller does, each other call of an executor has its outcome."""

import asyncio
import errno
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ramet
from ramet import DeadlineExceeded, Executor, Template
from ramet._core import wait_readable
from ramet._workers.executor import processes, worker
from ramet._workers.executor.pool import Pool
from ramet._workers.executor.processes import Processes
from ramet._workers.executor.worker import Worker
from ramet._workers.template.called_child import CalledChild

from ...constants import PATIENT_SECONDS, SECONDS, SLOWER, repeated
from ...full_tables import free_descriptors
from ...looking import state_of
from ...waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")

HUGE = 1 << 62


def test_output_of_any_size_is_read() -> None:
    """A hole takes no memory, neither of the call nor of its caller."""

    def enlarges() -> None:
        os.write(1, b"said")
        os.truncate(1, HUGE)

    with Executor(1, capture_output=True) as executor:
        future = executor.submit(enlarges)
        assert future.result(PATIENT_SECONDS) is None
        assert future.stdout is not None
        assert future.stdout.startswith("said")
        assert len(future.stdout) <= 1 << 20
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1


@pytest.mark.parametrize("reuse", [1, 1000])
def test_no_descriptor_is_lost_where_too_few_are_free(reuse: int) -> None:
    """The call fails or not; the next one runs."""
    with Executor(1, capture_output=True, reuse=reuse) as executor:
        for free in range(6):
            assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
            with free_descriptors(free):
                executor.submit(abs, -2).exception(PATIENT_SECONDS)


def test_a_process_whose_outcome_cannot_be_read_runs_no_other_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was killed, which takes it a moment to notice: a call that got it then would die with it."""

    def mark() -> bytearray:
        sys.marked = True  # type: ignore[attr-defined]
        return bytearray(1 << 20)

    def kill_late(child: CalledChild[Any]) -> None:
        child._killed = True

    monkeypatch.setattr(CalledChild, "kill", kill_late)
    with Executor(1, reuse=1000) as executor:
        assert executor.submit(lambda: 1).result(PATIENT_SECONDS) == 1
        with free_descriptors(0):  # none for the file in which the result is
            error = executor.submit(mark).exception(PATIENT_SECONDS)
        assert isinstance(error, ramet.ResultError)
        assert not executor.submit(lambda: hasattr(sys, "marked")).result(PATIENT_SECONDS)


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "none is free"), RuntimeError("no /proc")])
def test_a_tree_that_cannot_be_found_costs_no_other_call(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was called is killed in any case, and the executor goes on."""

    def cannot(*_: object) -> None:
        raise error

    monkeypatch.setattr(CalledChild, "kill_tree", cannot)
    monkeypatch.setattr(CalledChild, "_has_namespace", False)
    with Executor(2) as executor:
        future = executor.submit(signal.pause)
        other = executor.submit(signal.pause)
        until(lambda: future.running() and other.running())
        future.cancel()
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        assert other.running()
        other.cancel()


def test_a_stack_of_any_size_is_read() -> None:
    """The file for it is the call's to write to."""

    def enlarges() -> None:
        names = [name for name in os.listdir("/proc/self/fd") if _is_stack_file(name)]
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMAX - 1])
        for name in names:
            os.truncate(int(name), HUGE)
        signal.pause()

    with Executor(1, timeout=float(SLOWER)) as executor:
        error = executor.submit(enlarges).exception(PATIENT_SECONDS)
        assert isinstance(error, DeadlineExceeded)
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1


def test_a_stack_tells_a_terminal_nothing() -> None:
    """A call may write there what it likes: control characters are escaped, and much is left out."""

    def writes() -> None:
        (file,) = (int(one) for one in os.listdir("/proc/self/fd") if _is_stack_file(one))

        def answer(*_: object) -> None:
            os.write(file, b"at \x1b[31m\xc2\x9b2J\n" + b"\x07" * 1_000_000)

        signal.signal(signal.SIGRTMAX - 1, answer)
        while True:
            signal.pause()

    with Executor(1, timeout=float(SLOWER)) as executor:
        error = executor.submit(writes).exception(PATIENT_SECONDS)
    assert isinstance(error, DeadlineExceeded)
    assert error.stack.startswith("at \\x1b[31m\\x9b2J\n\\x07\\x07")
    assert str(error).replace("\n", "").isprintable()
    assert len(str(error)) < 70_000


def _is_stack_file(name: str) -> bool:
    with suppress(OSError):
        return "ramet-stack" in os.readlink(f"/proc/self/fd/{name}")
    return False


@pytest.mark.parametrize("timeout", [math.inf, 1e9, 2**31 / 1000 + 1])
def test_a_deadline_may_be_far_away(timeout: float) -> None:
    """Beyond what epoll_wait(2) can count as well."""
    with Executor(1, timeout=timeout) as executor:
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1


def test_progress_that_raises_is_not_called_again(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, as concurrent.futures logs what callbacks raise."""
    told = []

    def progress(counts: object) -> None:
        told.append(counts)
        if len(told) == 3:
            raise BrokenPipeError

    with Executor(2, progress=progress) as executor:
        assert list(executor.map(abs, range(-8, 0))) == [*range(8, 0, -1)]
    assert len(told) <= 3 + 1  # two threads tell, and the other one may have been about to
    assert "exception calling progress" in caplog.text


def test_progress_may_exit(caplog: pytest.LogCaptureFixture) -> None:
    """SystemExit ends a thread; not that which all calls need."""

    def progress(_: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            sys.exit(3)

    with Executor(1, progress=progress) as executor:
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        assert executor.submit(abs, -2).result(PATIENT_SECONDS) == 2
    assert "exception calling progress" in caplog.text


def test_a_callback_may_exit(caplog: pytest.LogCaptureFixture) -> None:
    """SystemExit ends a thread; not that which all calls need."""
    with Executor(1) as executor:
        future = executor.submit(abs, -1)
        future.add_done_callback(lambda _: sys.exit(3))
        with suppress(SystemExit):  # where it was done by then
            future.result(PATIENT_SECONDS)
        assert executor.submit(abs, -2).result(PATIENT_SECONDS) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_no_future_waits_for_a_thread_that_has_failed() -> None:
    """Whether its call ran or was to come; and the processes are gone."""

    def fail() -> None:
        raise ZeroDivisionError

    executor = Executor(1)
    futures = [executor.submit(signal.pause) for _ in range(3)]
    until(futures[0].running)
    executor._pool._order(fail)
    for future in futures:
        error = future.exception(SECONDS)
        assert isinstance(error, RuntimeError)
        assert isinstance(error.__cause__, ZeroDivisionError)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, -1)
    executor.shutdown()


def test_an_idle_process_may_die_as_it_is_asked() -> None:
    """Its next call finds another; nothing that the pool's thread waits for is closed under it."""
    with Executor(1, reuse=1000) as executor:
        for turns in range(repeated(60)):
            assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
            until(lambda: executor._pool._processes.idle)
            with suppress(IndexError, ProcessLookupError):
                signal.pidfd_send_signal(executor._pool._processes.idle[0].pidfd, signal.SIGKILL)
            sum(range(turns * 200))  # more or less time for it to be gone
            with suppress(ramet.ChildDied):  # who had got it
                assert executor.submit(abs, -2).result(PATIENT_SECONDS) == 2


def test_an_outcome_may_be_quicker_than_who_sent_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is heard before the sending thread goes on, and is its call's nevertheless."""
    is_heard = threading.Event()
    send, next_outcome = Worker.send, CalledChild._next_outcome

    def sends(self: Worker, *call: Any) -> bool:
        is_heard.clear()
        is_sent = send(self, *call)
        assert is_heard.wait(SECONDS)
        return is_sent

    def hears(self: CalledChild[Any]) -> Any:
        outcome = next_outcome(self)
        is_heard.set()
        return outcome

    with Executor(1, reuse=1000) as executor:
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        until(lambda: executor._pool._processes.idle)
        monkeypatch.setattr(Worker, "send", sends)
        monkeypatch.setattr(CalledChild, "_next_outcome", hears)
        for _ in range(repeated(20)):
            assert executor.submit(abs, -2).result(PATIENT_SECONDS) == 2
            until(lambda: executor._pool._processes.idle)


class Raises:
    """What raises that when it is pickled, or when its pickle is loaded."""

    def __init__(self, error: type[BaseException], *, when_loaded: bool) -> None:
        self.error = error
        self.when_loaded = when_loaded

    def __reduce__(self) -> Any:
        if self.when_loaded:
            return raises, (self.error,)
        raise self.error


def raises(error: type[BaseException]) -> None:
    """As a function that a pickle calls."""
    raise error


NO_EXCEPTIONS = [KeyboardInterrupt, GeneratorExit, SystemExit, asyncio.CancelledError]


@pytest.mark.parametrize("error", NO_EXCEPTIONS)
def test_what_raises_as_it_is_loaded_costs_its_call_alone(error: type[BaseException]) -> None:
    """Whatever it raises: a result, or an exception."""

    def failing() -> None:
        failure = ValueError("why it failed")
        failure.args = (Raises(error, when_loaded=True),)
        raise failure

    with Executor(2) as executor:
        other = executor.submit(signal.pause)
        until(other.running)
        future = executor.submit(Raises, error, when_loaded=True)
        found = future.exception(PATIENT_SECONDS)
        assert isinstance(found, ramet.ResultError)
        assert error.__name__ in str(found)
        found = executor.submit(failing).exception(PATIENT_SECONDS)
        assert isinstance(found, ramet.RemoteError)
        assert error.__name__ in str(found)
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        assert other.running()
        other.cancel()


@pytest.mark.parametrize("error", NO_EXCEPTIONS)
def test_what_raises_as_it_is_pickled_costs_its_call_alone(error: type[BaseException]) -> None:
    """Also where the pool's thread pickles it, as it waited for its turn."""
    with Executor(1) as executor:
        first = executor.submit(signal.pause)
        until(first.running)
        future = executor.submit(id, Raises(error, when_loaded=False))
        first.cancel()
        assert isinstance(future.exception(PATIENT_SECONDS), error)
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1


def acts(executor: Executor, future: Any) -> list[Callable[[], object]]:
    """What a copy of the caller may do with its executor and its futures."""
    return [future.cancel, executor.kill_workers, executor.shutdown]


@pytest.mark.parametrize("act", range(3))
def test_a_copy_of_the_caller_does_nothing_to_it(act: int) -> None:
    """Not even wait for a lock that a thread of the caller had at the fork."""
    with Executor(1) as executor:
        future = executor.submit(signal.pause)
        until(future.running)
        with executor._pool._lock:
            pid = os.fork()
            if pid == 0:
                signal.alarm(int(SECONDS))
                acts(executor, future)[act]()
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert future.running()
        assert executor.submit(abs, -1).cancel()
        future.cancel()
        with pytest.raises(CancelledError):
            future.result(SECONDS)


def test_an_event_of_a_number_that_another_had_ends_nothing(tmp_path: Path) -> None:
    """The thread may have got it together with that of the other's end, and this one's call still runs."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with Executor(1) as executor:
        pool = executor._pool
        future = executor.submit(fifo.read_text)
        until(future.running)
        until(lambda: pool._awaited)
        (worker,) = pool._awaited.workers
        was_heard = threading.Event()
        pool._order(lambda: pool._processes._look_at(worker.pidfd))
        pool._order(was_heard.set)
        assert was_heard.wait(SECONDS)
        fifo.write_text("the outcome")
        assert future.result(PATIENT_SECONDS) == "the outcome"


@pytest.mark.filterwarnings("ignore::ramet.TemplateRestarted")
def test_who_submits_does_not_wait_for_another_template(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which an event loop's thread would: one of the executor's waits for it to load."""
    loads: list[str] = []

    def replaced(template: Template, *args: Any) -> None:
        loads.append(threading.current_thread().name)
        replace(template, *args)

    replace = Template._replace
    monkeypatch.setattr(Template, "_replace", replaced)
    with Executor(2) as executor:  # of which one is free at once
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        process = executor._pool._template._link.process
        process.kill()
        until(lambda: wait_readable(process.fileno(), 0.0))
        while not loads:  # spares that are left serve first
            assert executor.submit(abs, -2).result(PATIENT_SECONDS) == 2
    assert loads == ["ramet-executor-start"]


def test_without_epoll_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under gevent and eventlet: an error that names them, and nothing is begun."""
    monkeypatch.delattr("select.epoll")
    with pytest.raises(RuntimeError, match=r"select\.epoll is gone.*gevent"):
        Executor(1)


CALLER_THAT_IS_STOPPED = """\
import sys
from pathlib import Path
import ramet
with ramet.Executor(1, timeout=2) as executor:
    print(executor.submit(Path.read_bytes, Path(sys.argv[1])).result())
"""


def test_what_came_in_time_counts_after_a_stop_of_the_caller(tmp_path: Path) -> None:
    """The call was over before its deadline, which came while the caller was stopped."""
    place = tmp_path / "fifo"
    os.mkfifo(place)
    argv = [sys.executable, "-c", CALLER_THAT_IS_STOPPED, str(place)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as caller:
        with place.open("wb") as fifo:  # the call has begun
            deadline = time.monotonic() + 2
            caller.send_signal(signal.SIGSTOP)
            until(lambda: state_of(caller.pid) == "T")
            fifo.write(b"in time")
        until(lambda: time.monotonic() > deadline)
        caller.send_signal(signal.SIGCONT)
        output, _ = caller.communicate(timeout=PATIENT_SECONDS)
    assert output == "b'in time'\n"


def test_a_call_that_another_thread_is_about_to_begin_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """kill_workers() ends all calls that were submitted before, and the executor with them."""
    is_about_to, is_killed = threading.Event(), threading.Event()
    wait_for = Pool._wait_for

    def waits(pool: Pool, worker: Worker) -> None:
        is_about_to.set()
        assert is_killed.wait(SECONDS)
        wait_for(pool, worker)

    executor = Executor(2)
    until(executor._pool._template._has_spare)
    monkeypatch.setattr(Pool, "_wait_for", waits)
    futures: list[Future[None]] = []
    thread = threading.Thread(target=lambda: futures.append(executor.submit(signal.pause)))
    thread.start()
    assert is_about_to.wait(SECONDS)
    executor.kill_workers()
    is_killed.set()
    thread.join()
    executor.shutdown()
    assert isinstance(futures[0].exception(0), ramet.ChildDied)


def test_one_that_may_not_be_killed_costs_no_other_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As what sudo starts may not by a plain user: it runs on, and the log says so."""
    end_tree = Worker._end_tree
    is_refused = threading.Event()

    def refuses(worker: Worker, *, kills: bool) -> None:
        if kills and not is_refused.is_set():
            is_refused.set()
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        end_tree(worker, kills=kills)

    monkeypatch.setattr(Worker, "_end_tree", refuses)
    with Executor(2) as executor:
        running = executor.submit(signal.pause)
        until(running.running)
        assert running.cancel()
        assert is_refused.wait(SECONDS)
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        executor.kill_workers()
    assert caplog.messages == ["pause() runs on: [Errno 1] Operation not permitted"]


def test_what_came_in_time_counts_though_another_outcome_took_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An outcome that is read for seconds makes no other call late."""
    next_outcome = CalledChild._next_outcome

    def takes_long(child: CalledChild[Any]) -> Any:
        if not begins:
            begins.append(time.monotonic())
            until(lambda: time.monotonic() > begins[0] + 2 * timeout)
        return next_outcome(child)

    timeout, begins = 1.0, [0.0]
    with Executor(2, timeout=timeout) as executor:
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        until(executor._pool._template._has_spare)
        begins.clear()
        monkeypatch.setattr(CalledChild, "_next_outcome", takes_long)
        futures = [executor.submit(abs, -n) for n in (2, 3)]
        assert [future.result(PATIENT_SECONDS) for future in futures] == [2, 3]


def test_an_order_that_comes_with_a_deadline_is_carried_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a cancellation is one: the look at what came in time takes no wake from it."""
    look_at_deadlines = Processes.look_at_deadlines
    is_done, is_ordered = threading.Event(), threading.Event()

    def looks(processes: Processes) -> None:
        if not is_ordered.is_set():
            is_ordered.set()
            executor._pool._order(is_done.set)
        look_at_deadlines(processes)

    with Executor(1) as executor:
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        until(lambda: not executor._pool._awaited)
        monkeypatch.setattr(Processes, "_has_expired", lambda _, now: True)
        monkeypatch.setattr(Processes, "look_at_deadlines", looks)
        executor._pool._awaited.wake()
        assert is_done.wait(SECONDS)


def test_stacks_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not answer makes the deadlines of others no later."""
    done: list[str | int] = []

    class Expired:
        call = SimpleNamespace(note_stack=str)

        def expire(self) -> Any:
            done.append("asked")
            return SimpleNamespace(answer=str)

        def kill(self) -> None:
            done.append("killed")

    monkeypatch.setattr(worker, "await_answers", lambda requests, _: done.append(len(requests)))
    worker.expire([Expired() for _ in range(3)])  # type: ignore[misc]
    assert done == [*["asked"] * 3, 3, *["killed"] * 3]


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    path.chmod(0o666)
    return path


def test_a_template_that_is_slow_holds_up_its_own_calls_alone(tmp_path: Path) -> None:
    """While a clone is made, others have their outcomes and deadlines, and who submits does not wait."""
    with Executor(4, timeout=3.0, spares=0) as executor:
        running = executor.submit(Path.read_text, _fifo(tmp_path / "end"))
        hanging = executor.submit(time.sleep, 1000)
        cancelled = executor.submit(time.sleep, 1000)
        until(lambda: len(executor._pool._awaited.workers) == 3)
        template = executor._pool._template
        os.kill(template.pid, signal.SIGSTOP)
        try:
            waiting = [executor.submit(abs, -1), executor.submit(abs, -2)]
            (tmp_path / "end").write_text("of the call")
            assert running.result(PATIENT_SECONDS) == "of the call"
            assert cancelled.cancel()
            assert isinstance(hanging.exception(PATIENT_SECONDS), ramet.DeadlineExceeded)
            until(lambda: not executor._pool._awaited)
            assert not any(one.done() for one in waiting)
        finally:
            os.kill(template.pid, signal.SIGCONT)
        assert [one.result(PATIENT_SECONDS) for one in waiting] == [1, 2]


@pytest.mark.filterwarnings("ignore::ramet.TemplateRestarted")
def test_a_template_that_is_not_trusted_and_silent_is_killed(tmp_path: Path) -> None:
    """A call that waits for its clone does not wait without end; others go on."""
    with Executor(2, spares=0) as executor:
        running = executor.submit(Path.read_text, _fifo(tmp_path / "end"))
        until(lambda: len(executor._pool._awaited.workers) == 1)
        template = executor._pool._template
        template._link.patience = 0.2  # as where it is not trusted
        os.kill(template.pid, signal.SIGSTOP)
        error = executor.submit(abs, -1).exception(PATIENT_SECONDS)
        assert isinstance(error, ramet.TemplateError)
        assert "has not answered in" in str(error)
        assert executor.submit(abs, -2).result(PATIENT_SECONDS) == 2
        (tmp_path / "end").write_text("of the call")
        assert running.result(PATIENT_SECONDS) == "of the call"


def test_a_process_may_be_exchanged_as_its_clone_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was to be read is closed by then; the call begins, and others go on."""
    with Executor(2, spares=0) as executor:
        running = executor.submit(Path.read_text, _fifo(tmp_path / "end"))
        until(lambda: len(executor._pool._awaited.workers) == 1)
        closed = os.open("/dev/null", os.O_RDONLY)
        os.close(closed)
        template = executor._pool._template
        monkeypatch.setattr(template, "await_clone", lambda _: (closed, math.inf))
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        (tmp_path / "end").write_text("of the call")
        assert running.result(PATIENT_SECONDS) == "of the call"


def test_a_process_that_runs_a_call_may_have_its_number_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread has begun a call meanwhile. What that process says of its later calls is heard."""
    with Executor(2, spares=0, reuse=3) as executor:
        pool = executor._pool
        running = executor.submit(Path.read_text, _fifo(tmp_path / "end"))
        until(lambda: len(pool._awaited.workers) == 1)
        (process,) = pool._awaited.workers
        with monkeypatch.context() as patch:
            patch.setattr(pool._template, "await_clone", lambda _: (process.channel, math.inf))
            assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        (tmp_path / "end").write_text("of the call")
        assert running.result(PATIENT_SECONDS) == "of the call"
        until(lambda: process in pool._processes.idle)
        assert executor.submit(abs, -2).result(PATIENT_SECONDS) == 2
        assert process.served == 2


def test_a_clone_may_be_awaited_by_the_number_that_a_process_has_got(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was not known to be that one's yet."""
    with Executor(1, reuse=3) as executor:
        pool = executor._pool
        known = pool._wait_for

        def wait_for(process: Worker) -> None:
            pool._awaited.add_clone(process.channel)
            known(process)

        monkeypatch.setattr(pool, "_wait_for", wait_for)
        for number in range(3):
            assert executor.submit(abs, -number).result(PATIENT_SECONDS) == number


def test_a_clone_that_nobody_waits_for_any_more_has_no_deadline(tmp_path: Path) -> None:
    """The executor's thread would look for it again and again, for as long as another call runs."""
    with Executor(2, spares=0) as executor:
        pool = executor._pool
        running = executor.submit(Path.read_text, _fifo(tmp_path / "end"))
        until(lambda: len(pool._awaited.workers) == 1)
        pool._template._link.patience = PATIENT_SECONDS  # as where it is not trusted
        os.kill(pool._template.pid, signal.SIGSTOP)
        try:
            waiting = executor.submit(abs, -1)
            until(lambda: pool._must_answer_by < math.inf)
            executor.shutdown(wait=False, cancel_futures=True)
            until(lambda: pool._must_answer_by == math.inf)
            assert waiting.cancelled()
        finally:
            os.kill(pool._template.pid, signal.SIGCONT)
        (tmp_path / "end").write_text("of the call")
        assert running.result(PATIENT_SECONDS) == "of the call"


def test_calls_that_wait_for_each_other_run_at_once(tmp_path: Path) -> None:
    """Whichever threads submit them, and whatever clones are being made then."""
    fifo = str(_fifo(tmp_path / "fifo"))
    read, write = (f"open({fifo!r}, {mode!r}).close()" for mode in "rw")
    starts = threading.Barrier(2)
    with Executor(2, spares=1) as executor:

        def submit(code: str) -> None:
            for _ in range(100):
                starts.wait(PATIENT_SECONDS)
                executor.submit(exec, code).result(PATIENT_SECONDS)

        with ThreadPoolExecutor(2) as threads:
            for done in [threads.submit(submit, code) for code in (read, write)]:
                done.result()


def test_a_clone_is_asked_of_the_process_that_is_there_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was awaited of another, which has ended since, never comes."""
    never, _writer = (os.fdopen(end) for end in os.pipe())
    with never, _writer, Executor(2, spares=0) as executor:
        running = executor.submit(Path.read_text, _fifo(tmp_path / "end"))
        until(lambda: len(executor._pool._awaited.workers) == 1)
        with monkeypatch.context() as patch:
            asked: list[int] = []

            def await_clone(count: int) -> tuple[int, float]:
                asked.append(count)
                return never.fileno(), math.inf

            patch.setattr(executor._pool._template, "await_clone", await_clone)
            waiting = executor.submit(abs, -1)
            until(lambda: asked == [1])
        assert executor._pool._learning is not None
        executor._pool._learning.when_started()
        assert waiting.result(PATIENT_SECONDS) == 1
        (tmp_path / "end").write_text("")
        running.result(PATIENT_SECONDS)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where module waits_at_its_gate waits for a writer, once it is there."""
    path = tmp_path / "gate"
    module = f"import os\nif os.path.exists({str(path)!r}): open({str(path)!r}).close()\n"
    (tmp_path / "waits_at_its_gate.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path))
    return path


@pytest.mark.filterwarnings("ignore::ramet.TemplateRestarted")
def test_a_template_that_starts_again_holds_up_its_own_calls_alone(
    tmp_path: Path, gate: Path
) -> None:
    """A call that runs has its outcome, and one its deadline, while the template imports."""
    with Executor(3, preload=["waits_at_its_gate"], timeout=SECONDS, spares=0) as executor:
        running = executor.submit(Path.read_text, _fifo(tmp_path / "end"))
        cancelled = executor.submit(time.sleep, 1000)
        until(lambda: len(executor._pool._awaited.workers) == 2)
        template = executor._pool._template
        os.kill(template.pid, signal.SIGKILL)
        until(lambda: not template._is_there())
        _fifo(gate)
        waiting = executor.submit(abs, -1)
        (tmp_path / "end").write_text("of the call")
        assert running.result(SECONDS) == "of the call"
        assert cancelled.cancel()
        until(lambda: len(executor._pool._awaited) == 0)
        assert not waiting.done()
        gate.write_text("")
        assert waiting.result(SECONDS) == 1
        assert list(executor.map(abs, [-2, -3])) == [2, 3]


@pytest.mark.parametrize("how", ["kill_workers", "terminate_workers"])
def test_a_template_that_starts_again_ends_with_all(gate: Path, how: str) -> None:
    """Nobody waits for what it imports."""
    with Executor(1, preload=["waits_at_its_gate"], spares=0) as executor:
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        template = executor._pool._template
        os.kill(template.pid, signal.SIGKILL)
        until(lambda: not template._is_there())
        _fifo(gate)
        waiting = executor.submit(abs, -2)
        until(lambda: executor._pool._starts._loading is not None)
        getattr(executor, how)()
    with pytest.raises(ramet.TemplateError, match="ended before it had loaded") as told:
        waiting.result(0)
    assert told.value.__notes__ == [
        "its executor was ended as it loaded, and with that its loading"
    ]


@pytest.mark.filterwarnings("ignore::ramet.TemplateRestarted")
def test_a_template_that_cannot_start_again_fails_its_own_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by its error, until it can."""
    module = tmp_path / "fails_the_second_time.py"
    module.write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with Executor(1, preload=[module.stem], spares=0) as executor:
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
        module.write_text("raise OSError('not now')")
        template = executor._pool._template
        os.kill(template.pid, signal.SIGKILL)
        until(lambda: not template._is_there())
        for _ in range(2):
            with pytest.raises(ramet.TemplateError, match="not now"):
                executor.submit(abs, -1).result(PATIENT_SECONDS)
        module.write_text("")
        assert executor.submit(abs, -2).result(PATIENT_SECONDS) == 2


def _keeps_its_process() -> None:
    """As what a call has left in its process may do: after the outcome it does not end."""

    def flush() -> None:
        flushes.append(None)
        if len(flushes) > 1:  # the first is before the outcome
            signal.pause()

    flushes: list[None] = []
    ramet._core.flush_standard_streams = flush
    raise KeyError("which the core does not tell alone")


def test_a_process_that_does_not_end_after_its_last_call_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no pid namespace has ended it at once; the end of the executor waited for it."""
    monkeypatch.setattr(processes, "_END_SECONDS", 0.1)
    with Executor(1) as executor:
        kept = executor.submit(_keeps_its_process)
        assert isinstance(kept.exception(PATIENT_SECONDS), KeyError)
        assert executor.submit(abs, -1).result(PATIENT_SECONDS) == 1
    assert kept.tree_ended_by in {"pid namespace", "walk"}
