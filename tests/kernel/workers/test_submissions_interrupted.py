"""A signal handler while a call is submitted to an executor, or its result waited for.

It may raise, and submit another.
"""

import gc
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

import ramet
from ramet._kernel import procfs
from ramet._workers.executor.call_future import CallFuture

from ...waiting import alarm, nothing_unreaped, until

SECONDS = 10
LIBRARY = os.path.dirname(ramet.__file__)
FUTURES = os.path.dirname(sys.modules["concurrent.futures"].__file__ or "")
THREADING = threading.__file__
# Python 3.14 leaves a lock of all threads taken where a handler raises as one is started: held_lock.c.
OF_STARTS = (THREADING,) if sys.version_info < (3, 14) else ()


class Heard(BaseException):
    """What the handler raises."""


class HeardError(Exception):
    """The same, for who handles each Exception."""


def raises() -> None:
    """What most handlers do here."""
    raise Heard


def raises_error() -> None:
    """What threading.Thread.start() takes for a failure of its own."""
    raise HeardError


class Handler:
    """Acts where Python looks for signals: at the so manyth call of ours, or end of a call of C's."""

    def __init__(
        self, step: int, act: Callable[[], object], files: tuple[str, ...], spared: str
    ) -> None:
        self.left = step
        self.act = act
        self.files = files
        self.spared = spared
        self.where = ""

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event not in {"call", "c_return"} or not code.co_filename.startswith(self.files):
            return
        if argument is sys.setprofile or _is_finalizers(frame):
            return
        if self.spared and code.co_qualname.startswith(self.spared):
            return
        self.left -= 1
        if self.left == 0:
            self.where = f"{code.co_qualname}:{frame.f_lineno} {event}"
            sys.setprofile(None)
            self.act()


def _is_finalizers(frame: FrameType | None) -> bool:
    """Whether nobody would hear what is raised there."""
    while frame is not None:
        if frame.f_code.co_name in {"__del__", "_forget", "drop", "__repr__"}:
            return True
        frame = frame.f_back
    return False


def interrupted(
    call: Callable[[], object],
    step: int,
    act: Callable[[], object] = raises,
    files: tuple[str, ...] = (LIBRARY, FUTURES),
    spared: str = "",
) -> str:
    """Where a call was interrupted; nothing if it has fewer places."""
    handler = Handler(step, act, files, spared)
    sys.setprofile(handler)
    with suppress(Heard, HeardError):
        try:
            call()
        finally:
            sys.setprofile(None)
    return handler.where


@pytest.mark.parametrize("reuse", [1, 1000])
@pytest.mark.filterwarnings("ignore:child .* was never waited for:ResourceWarning")
def test_the_place_of_a_call_that_did_not_begin_is_free_again(reuse: int) -> None:
    """Wherever its submission was interrupted, the next one runs, and no process is left."""
    before = {*procfs.children(os.getpid())}
    with ramet.Executor(1, reuse=reuse, timeout=SECONDS, spares=1) as executor:
        for step in itertools.count(1):
            until(lambda: executor._pool._processes.idle or executor._pool._template._has_spare())
            where = interrupted(lambda: executor.submit(abs, -1), step)
            assert executor.submit(abs, -2).result(SECONDS) == 2, where
            if not where and step > 30:  # a submission that another thread begins has fewer places
                break
    gc.collect()
    until(lambda: nothing_unreaped() and {*procfs.children(os.getpid())} <= before)


@pytest.mark.parametrize("is_set", [False, True])
def test_a_result_that_is_waited_for(is_set: bool) -> None:
    """Wherever its wait was interrupted: by what the handler raised, and the future's lock is free."""
    for step in itertools.count(1):
        future = CallFuture[int]()
        if is_set:
            future.set_result(1)

        def waits(future: CallFuture[int] = future) -> None:
            with suppress(TimeoutError):
                future.result(0)

        where = interrupted(waits, step, files=(LIBRARY, FUTURES, THREADING))
        setter = threading.Thread(target=set_unless_done, args=(future,), daemon=True)
        setter.start()
        setter.join(SECONDS)
        assert not setter.is_alive(), where
        assert future.result(0) == 1, where
        if not where:
            break
    assert step > (3 if is_set else 8)


def set_unless_done(future: CallFuture[int]) -> None:
    """As an executor's thread does; another has to, as one takes its own lock twice."""
    if not future.done():
        future.set_result(1)


@pytest.mark.parametrize("reuse", [1, 1000])
def test_a_handler_may_submit_another(reuse: int) -> None:
    """Wherever it comes: no lock is waited for that its own thread has, and both calls run."""
    futures: list[Any] = []
    with alarm(20 * SECONDS), ramet.Executor(2, reuse=reuse, timeout=SECONDS) as executor:
        for step in itertools.count(1):
            where = interrupted(
                lambda: futures.append(executor.submit(abs, -1)),
                step,
                lambda: futures.append(executor.submit(abs, -2)),
            )
            results = sorted(future.result(SECONDS) for future in futures)
            assert results == ([1, 2] if where else [1]), where
            futures.clear()
            if not where:
                break
        assert step > 10  # fewer places where a thread of its own has refilled


@pytest.fixture(scope="module")
def template() -> Iterator[ramet.Template]:
    """What the executors of this file are quickly made of."""
    with ramet.Template() as made:
        yield made


@pytest.fixture
def forgotten_threads() -> Iterator[None]:
    """Take those whose start was interrupted off the list of threading, which keeps them for ever."""
    yield
    starting: dict[threading.Thread, threading.Thread] = threading._limbo  # type: ignore[attr-defined]
    for thread in [*starting]:
        if thread.name == "ramet-executor":
            del starting[thread]


@pytest.mark.usefixtures("forgotten_threads")
@pytest.mark.parametrize(("act", "submits_too"), [(raises, False), (raises_error, True)])
# The thread of a start that was interrupted ends with a KeyError: threading has forgotten it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:child .* was never waited for:ResourceWarning")
def test_the_thread_is_started_again(
    template: ramet.Template, act: Callable[[], object], submits_too: bool
) -> None:
    """Wherever its start was interrupted, the next submission runs, and what the handler submitted."""
    futures: list[Any] = []

    def submits(executor: ramet.Executor) -> None:
        with suppress(KeyError):  # Thread.start() looks for what the thread has taken already
            executor.submit(abs, -1)

    def is_heard(executor: ramet.Executor) -> None:
        if submits_too:
            futures.append(executor.submit(abs, -3))
        act()

    for step in itertools.count(1):
        with ramet.Executor(1, template=template) as executor:
            where = interrupted(
                lambda executor=executor: submits(executor),  # type: ignore[misc]
                step,
                lambda executor=executor: is_heard(executor),  # type: ignore[misc]
                (LIBRARY, *OF_STARTS),
                "Condition.",  # that of threading's Event stays locked then, in any program
            )
            assert [future.result(SECONDS) for future in futures] == [3] * len(futures), where
            assert executor.submit(abs, -2).result(SECONDS) == 2, where
        if not where:
            break
        futures.clear()
    gc.collect()
    assert step > 10


def is_of_executor(thread: threading.Thread) -> bool:
    """One whose start was interrupted is listed for ever, and never alive."""
    return thread.name == "ramet-executor" and thread.is_alive()


@pytest.mark.usefixtures("forgotten_threads")
def test_the_executor_may_be_closed_while_its_thread_starts(template: ramet.Template) -> None:
    """The call that was submitted is refused, or runs; no thread is left."""
    for step in itertools.count(1):
        futures: list[Any] = []
        executor = ramet.Executor(1, template=template)
        try:
            where = interrupted(
                lambda: futures.append(executor.submit(abs, -1)),  # noqa: B023 - called here
                step,
                lambda: executor.shutdown(wait=False),  # noqa: B023
                (LIBRARY, *OF_STARTS),
                "Condition.",  # that of threading's Event stays locked then, in any program
            )
        except RuntimeError as error:
            assert "after shutdown" in str(error)
        else:
            assert [future.result(SECONDS) for future in futures] == [1]
            if not where:
                break
        finally:
            executor.shutdown()
    until(lambda: not any(is_of_executor(thread) for thread in threading.enumerate()))
    assert step > 10


@pytest.mark.parametrize("step", range(1, 40, 3))
@pytest.mark.filterwarnings("ignore:child .* was never waited for:ResourceWarning")
def test_a_handler_may_kill_all_calls(step: int) -> None:
    """Also those that its own thread is submitting; it does not wait for their end."""
    with alarm(SECONDS), ramet.Executor(1) as executor:
        futures = [executor.submit(signal.pause) for _ in range(2)]
        try:
            with suppress(RuntimeError):  # after shutdown
                interrupted(
                    lambda: futures.append(executor.submit(signal.pause)),
                    step,
                    executor.kill_workers,
                )
        finally:
            executor.kill_workers()
        assert all(future.done() or future.exception(SECONDS) for future in futures)
