"""Where no more processes can be made, the calls of an executor wait for those that run."""

import errno
import gc
import itertools
import logging
import os
import resource
import signal
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

import ramet
from ramet._workers.executor.pool import Pool
from ramet._workers.executor.worker import Worker
from ramet._workers.template.template import Template

from ...constants import SECONDS
from ...full_tables import free_descriptors
from ...waiting import until
from .test_submissions_interrupted import interrupted

LACKING = [
    *(errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ETOOMANYREFS)
]
WAIT = "calls wait until others have ended: there is no room for more processes"


class Room:
    """For so many processes of an executor; there is that errno for one more."""

    def __init__(self, executor: ramet.Executor) -> None:
        self.size, self.number = 8, errno.EAGAIN
        self.refused = 0
        self._pool = executor._pool
        self._begin = Template._begin_call

    def begin(self, template: Template, *asked: Any) -> Any:
        """Template._begin_call()."""
        if len(self._pool._awaited.workers) >= self.size:
            self.refused += 1
            raise ramet.CloneError(self.number)
        return self._begin(template, *asked)


@pytest.fixture
def executor() -> Iterator[ramet.Executor]:
    with ramet.Executor(8) as made:
        yield made


@pytest.fixture
def room(executor: ramet.Executor, monkeypatch: pytest.MonkeyPatch) -> Room:
    made = Room(executor)
    monkeypatch.setattr(
        Template, "_begin_call", lambda template, *asked: made.begin(template, *asked)
    )
    return made


@pytest.mark.parametrize("number", LACKING, ids=errno.errorcode.__getitem__)
@pytest.mark.parametrize("size", [1, 3])
def test_all_calls_are_done(
    executor: ramet.Executor,
    room: Room,
    caplog: pytest.LogCaptureFixture,
    size: int,
    number: int,
) -> None:
    """Whatever there is too little of; the executor says once that calls wait."""
    room.size, room.number = size, number
    with caplog.at_level(logging.WARNING, "ramet.executor"):
        assert list(executor.map(abs, range(-40, 0))) == [*range(40, 0, -1)]
    assert room.refused > 0
    assert caplog.messages == [WAIT]


def test_where_none_runs_the_error_is_told(executor: ramet.Executor, room: Room) -> None:
    """No end would come that the call could wait for."""
    room.size = 0
    with pytest.raises(ramet.CloneError) as caught:
        executor.submit(abs, -1).result(SECONDS)
    assert caught.value.errno == errno.EAGAIN


def test_what_does_not_pass_is_told_at_once(executor: ramet.Executor, room: Room) -> None:
    """Though another call runs."""
    room.size, room.number = 1, errno.EPERM
    running = executor.submit(signal.pause)
    with pytest.raises(ramet.CloneError) as caught:
        executor.submit(abs, -1).result(SECONDS)
    assert caught.value.errno == errno.EPERM
    assert room.refused == 1
    assert running.cancel()


def test_one_that_waits_can_be_cancelled(executor: ramet.Executor, room: Room) -> None:
    """It is not begun then, and the next one is."""
    room.size = 1
    running, waiting = (executor.submit(signal.pause) for _ in range(2))
    last = executor.submit(os.getpid)
    until(lambda: room.refused > 0)
    assert waiting.cancel()
    assert running.cancel()
    assert last.result(SECONDS) > 0
    with pytest.raises(CancelledError):
        waiting.result()


@pytest.mark.parametrize(
    "end",
    [
        lambda executor: executor.shutdown(wait=False, cancel_futures=True),
        ramet.Executor.kill_workers,
    ],
    ids=["shutdown", "kill_workers"],
)
def test_one_that_waits_ends_with_the_executor(
    executor: ramet.Executor, room: Room, end: Callable[[ramet.Executor], object]
) -> None:
    """As those that have not begun."""
    room.size = 1
    running, *others = (executor.submit(signal.pause) for _ in range(4))
    until(lambda: room.refused > 0)
    end(executor)
    assert all(other.cancelled() for other in others)
    running.cancel()


def test_one_that_waits_is_done_at_the_end(room: Room, executor: ramet.Executor) -> None:
    """The end of the block waits for it."""
    room.size = 1
    futures = [executor.submit(abs, -n) for n in range(10)]
    executor.shutdown()
    assert [future.result(0) for future in futures] == [*range(10)]


@pytest.mark.filterwarnings("ignore:child .* was never waited for:ResourceWarning")
def test_a_handler_that_raises_while_a_call_is_put_back(
    executor: ramet.Executor, room: Room
) -> None:
    """Wherever it does, the places of the calls are free again when they are over."""
    pool = executor._pool
    for step in itertools.count(1):
        room.size, room.refused = 8, 0
        until(pool._template._has_spare)
        running = executor.submit(signal.pause)
        until(pool._template._has_spare)
        room.size = 1
        where = interrupted(lambda: executor.submit(abs, -1), step)
        assert room.refused > 0 or where
        room.size = 8
        assert running.cancel()
        assert executor.submit(abs, -2).result(SECONDS) == 2, where
        until(lambda: not pool._tally.pending and not pool._tally.active)
        if not where:
            break
    assert step > 30


def test_a_handler_may_kill_all_calls_while_one_is_put_back(
    executor: ramet.Executor, room: Room
) -> None:
    """It does not begin later."""
    running = executor.submit(signal.pause)
    until(lambda: executor._pool._awaited)  # it runs: it may have waited for a spare
    until(executor._pool._template._has_spare)

    def kills(template: Template, *asked: Any) -> Any:
        executor.kill_workers()
        raise ramet.CloneError(errno.EAGAIN)  # also where the other one has ended by now

    room.begin = kills  # type: ignore[method-assign]
    other = executor.submit(signal.pause)
    executor.shutdown()
    assert other.cancelled()
    assert isinstance(running.exception(), ramet.ChildDied)


def test_the_last_of_the_others_is_being_ended(
    executor: ramet.Executor, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its descriptors until the executor's thread has closed them."""
    refused, ended = threading.Event(), threading.Event()
    conclude, begin = Worker.conclude, room.begin

    def concluded(worker: Worker) -> Any:
        refused.wait(SECONDS)
        status = conclude(worker)
        ended.set()
        return status

    def begun(template: Template, *asked: Any) -> Any:
        if ended.is_set():
            return begin(template, *asked)
        refused.set()
        raise ramet.CloneError(errno.EMFILE)

    pool = executor._pool
    monkeypatch.setattr(Worker, "conclude", concluded)
    assert executor.submit(abs, -1).result(SECONDS) == 1
    until(lambda: not pool._awaited and pool._template._has_spare())
    room.begin = begun  # type: ignore[method-assign]
    assert executor.submit(abs, -2).result(SECONDS) == 2
    assert refused.is_set()


def test_another_thread_is_about_to_begin_a_call(
    executor: ramet.Executor, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has descriptors by then, and the executor does not wait for its process yet."""
    until(executor._pool._template._has_spare)
    refused = threading.Event()
    others: list[Any] = []
    begin = room.begin

    def begun(template: Template, *asked: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            monkeypatch.setattr(Template, "_has_spare", lambda template: False)
            others.append(executor.submit(abs, -2))
            assert refused.wait(SECONDS)
        elif not refused.is_set():
            refused.set()
            raise ramet.CloneError(errno.EMFILE)
        return begin(template, *asked)

    room.begin = begun  # type: ignore[method-assign]
    assert executor.submit(abs, -1).result(SECONDS) == 1
    assert others[0].result(SECONDS) == 2


@pytest.mark.parametrize("lacking", ["for its output", "for its arguments"])
def test_no_room_for_what_an_idle_process_is_to_get(lacking: str) -> None:
    """The call waits for the end of another, as it does where there is no room for a process."""
    captures = lacking == "for its output"
    argument = b"" if captures else bytes(1 << 20)  # which crosses in a file
    with ramet.Executor(2, reuse=100, spares=0, capture_output=captures) as executor:
        running = executor.submit(signal.pause)
        assert executor.submit(len, b"").result(SECONDS) == 0
        until(lambda: len(executor._pool._processes.idle) == 1)
        with free_descriptors(0):
            waiting = executor.submit(len, bytearray(argument))
            assert running.cancel()
            assert waiting.result(SECONDS) == len(argument)


def _without_template(executor: ramet.Executor) -> None:
    """Who begins a call has to start it again."""
    template = executor._pool._template
    os.kill(template.pid, signal.SIGKILL)
    until(lambda: not template._is_there())


def _pass_often(executor: ramet.Executor) -> None:
    """Of the executor's thread, each time one that could begin calls."""
    for _ in range(20):
        passed = threading.Event()
        executor._pool._order(passed.set)
        assert passed.wait(SECONDS)
        until(lambda: executor._pool._threads.beside is None)


@pytest.mark.filterwarnings("ignore::ramet.TemplateRestarted")
def test_no_room_for_a_template_that_starts_again(
    executor: ramet.Executor,
    room: Room,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread beside the executor's tries it once, and not again and again."""
    starts: list[bool] = []

    def begins_beside(pool: Pool) -> bool:
        starts.append(begins(pool))
        return starts[-1]

    begins = Pool._begins_beside
    monkeypatch.setattr(Pool, "_begins_beside", begins_beside)
    room.size = 1
    running = executor.submit(signal.pause)
    until(lambda: len(executor._pool._awaited) > 0)
    with caplog.at_level(logging.WARNING, "ramet.executor"):
        _without_template(executor)
        waiting = executor.submit(abs, -1)
        until(lambda: room.refused > 0)
        _pass_often(executor)
    assert starts == [True]
    assert caplog.messages == [WAIT]
    assert running.cancel()
    assert waiting.result(SECONDS) == 1


@pytest.mark.filterwarnings("ignore::ramet.TemplateRestarted")
def test_no_room_for_a_template_where_nothing_runs(executor: ramet.Executor, room: Room) -> None:
    """The error is the call's, and what there is room for later does not wait."""
    assert executor.submit(abs, -1).result(SECONDS) == 1
    until(lambda: not executor._pool._awaited)
    room.size = 0
    _without_template(executor)
    with pytest.raises(ramet.CloneError):
        executor.submit(abs, -2).result(SECONDS)
    room.size = 8
    running = [executor.submit(signal.pause) for _ in range(2)]
    assert executor.submit(abs, -3).result(SECONDS) == 3
    assert all(one.cancel() for one in running)


def test_a_refused_attempt_is_forgotten() -> None:
    """Without a run of the collector: what is refused again and again must not gather."""
    with ramet.Template(spares=0) as template:
        argument: deque[int] = deque([1])
        reference = weakref.ref(argument)
        gc.disable()
        try:
            with pytest.raises(ramet.CloneError):
                template.clone(len, argument, set_tid=[os.getpid()])
            del argument
            assert reference() is None
        finally:
            gc.enable()


@pytest.mark.parametrize("free", [3, 8, 20])
@pytest.mark.parametrize("timeout", [None, SECONDS])
def test_a_nearly_full_descriptor_table(free: int, timeout: float | None) -> None:
    """All calls are done, by as many processes at a time as there are descriptors for."""
    with ramet.Executor(32, timeout=timeout) as executor:
        assert executor.submit(abs, -1).result() == 1
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + free, before[1]))
        try:
            assert list(executor.map(abs, range(-60, 0))) == [*range(60, 0, -1)]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
