"""Waiting for a child under asyncio or trio, whichever runs."""

import os
import select
import sys
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import RLock, Thread
from typing import Protocol, TypeVar

try:
    from anyio import (
        CancelScope,
        Event,
        get_cancelled_exc_class,
        move_on_after,
        to_thread,
        wait_readable,
    )
    from anyio.lowlevel import RunVar, checkpoint
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "to await a child needs anyio: pip install 'ramet[aio]'", name=error.name
    ) from None

from .._core import Held
from .._kernel import pidfd
from .._kernel.clone_bits import THREAD
from .._kernel.signal_handlers import is_from_handler
from ..exit_status import ExitStatus
from . import asyncio_watch

# How long an interrupted function has to end: the default of Child.terminate().
_GRACE_SECONDS = 1.0


class Awaited(Protocol):
    """What waiting needs of a child."""

    def kill(self) -> None:
        """Kill it."""

    def poll(self) -> ExitStatus | None:
        """How it ended, or None while it runs."""

    def wait(self) -> ExitStatus:
        """Wait for it, which blocks the loop."""

    def _copied_pidfd(self) -> int | None:
        """A copy of its pidfd, which the caller closes; None when it has none, or was waited for."""


class Interruptible(Awaited, Protocol):
    """A function in shared memory."""

    @property
    def flags(self) -> int:
        """Those of its clone call."""

    def interrupt(self) -> bool:
        """Raise an exception in it."""

    def terminate(self, grace: float) -> None:
        """Interrupt it, and kill it after ``grace`` seconds if it is a process."""


C = TypeVar("C", bound=Awaited)
T = TypeVar("T")

_turns: RunVar[list[Event]] = RunVar("ramet_turns")  # of each loop: whose turn is the last


async def conclude(
    child: C, cancelled: Callable[[C], Awaitable[object]] | None = None
) -> ExitStatus:
    """Wait until the child has ended, and reap it.

    cancelled: called with the child after a cancellation; else the child runs on.

    Each waiter has its own copy of the pidfd: the thread that reaps the child closes the first one, and
    a loop gets no event for a descriptor that was closed.
    Source: pidfd_open(2), waitid(2).
    """
    copy = child._copied_pidfd()
    try:
        await (_ended_without_pidfd(child) if copy is None else readable(copy))
    except BaseException:
        if cancelled is not None:
            await cancelled(child)
        raise
    finally:
        if copy is not None:
            os.close(copy)
    return child.wait()


async def end(child: Awaited) -> None:
    """Kill the child and reap it, also when this is cancelled meanwhile."""
    if child.poll() is not None:
        return
    child.kill()
    if waits_no_more():
        child.wait()
        return
    try:
        with CancelScope(shield=True):
            await conclude(child)
    finally:
        child.wait()  # a shield does not hold off asyncio's own cancellation; a blocking wait does


async def interrupt(child: Interruptible) -> None:
    """Interrupt the function, so that no memory is lost, and wait for its end; after a second kill it.

    A thread of this process cannot be killed, and runs on.
    """
    if waits_no_more():
        _kill_and_reap(child, _GRACE_SECONDS)
        return
    child.interrupt()
    try:
        with CancelScope(shield=True), move_on_after(_GRACE_SECONDS):
            await conclude(child)
    finally:
        if child.poll() is None:
            # To find a moment at which it holds no lock may take seconds.
            await in_new_thread(lambda: _kill_and_reap(child, 0.0))


def _kill_and_reap(child: Interruptible, grace: float) -> None:
    child.terminate(grace)
    if not child.flags & THREAD:
        child.wait()


async def until(is_there: Callable[[], object], copies: Sequence[int]) -> None:
    """Wait until that holds, which is asked each time that one of the descriptors can be read.

    Several tasks may wait for the same ones: each has copies of them.
    """
    with select.epoll(len(copies)) as any_of_them:
        for copy in copies:
            any_of_them.register(copy, select.EPOLLIN | select.EPOLLRDHUP)
        await readable(any_of_them.fileno())
        while not is_there():
            await readable(any_of_them.fileno())


async def in_new_thread(act: Callable[[], T], abandon: Callable[[], object] | None = None) -> T:
    """Call a function in a new thread and return its result; a cancellation is heard when it has returned.

    abandon: called at once at a cancellation, or another exception, so that it returns soon; may be twice.
    A new thread has the rights and the descriptor table of the calling one. A pooled thread might still
    have rights that the calling one has given up, or other files under the same numbers.

    Where no descriptor or thread can be had, what can be abandoned fails. All else ends something, which
    has to be done: it is called here.
    """
    if waits_no_more():
        return act()
    try:
        done = _Done()
    except OSError:
        if abandon is not None:
            raise
        return act()
    try:
        return await _in_new_thread(act, abandon, done)
    finally:
        done.close()


class _Done:
    """What a thread tells a loop by, which may have left it at a signal handler that raised.

    Source: eventfd(2).
    """

    def __init__(self) -> None:
        self._lock = RLock()  # such a handler comes here as well
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC)
        self._is_open = True

    def tell(self) -> None:
        with Held(self._lock) as take:  # once it is closed the number is another file's
            take()
            if self._is_open:
                os.eventfd_write(self.descriptor, 1)

    def close(self) -> None:
        with Held(self._lock) as take:
            take()
            self._is_open = False
        os.close(self.descriptor)


async def _in_new_thread(
    act: Callable[[], T], abandon: Callable[[], object] | None, done: _Done
) -> T:
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(act())
        except BaseException as error:
            outcome.set_exception(error)
        done.tell()

    thread = Thread(target=run)
    try:
        _start(thread, run, must_run=abandon is None)
        interruption: BaseException | None = None
        if abandon is not None:
            try:
                await readable(done.descriptor)
            except _interruptions() as error:
                interruption = error
                abandon()
        interruption = await _in_spite_of_cancellation(done.descriptor) or interruption
    except BaseException:  # the join below keeps the whole loop waiting
        if abandon is not None:
            abandon()
        raise
    finally:
        if thread.ident is not None:
            thread.join()
    if interruption is not None:
        raise interruption
    return outcome.result()


def _start(thread: Thread, run: Callable[[], object], *, must_run: bool) -> None:
    try:
        thread.start()
    except RuntimeError:  # there is no room for one
        if not must_run:
            raise
        run()


def _cancellations() -> tuple[type[BaseException], ...]:
    """Their class in the loop that runs; none where it has been left."""
    return () if waits_no_more() else (get_cancelled_exc_class(),)


def _interruptions() -> tuple[type[BaseException], ...]:
    """With that of a ^C, which trio raises in a task."""
    return (*_cancellations(), KeyboardInterrupt)


def waits_no_more() -> bool:
    """Whether the calling coroutine is closed, as one is that its loop has left: any await fails then.

    An asynchronous generator that is closed in its loop may wait.
    """
    if not isinstance(sys.exception(), GeneratorExit):
        return False
    try:
        get_cancelled_exc_class()
    except RuntimeError:  # there is no loop
        return True
    return False


async def _in_spite_of_cancellation(descriptor: int) -> BaseException | None:
    """Wait until it can be read. Returns a cancellation of asyncio's own, which no shield holds off."""
    cancellation: BaseException | None = None
    is_readable = False
    with CancelScope(shield=True):
        while not is_readable:
            try:
                await readable(descriptor)
                is_readable = True
            except _cancellations() as error:
                cancellation = error
                # Where each turn of the loop brings another one, the wait is never told.
                is_readable = pidfd.wait_readable(descriptor, 0.0)
            except OSError as error:  # the loop has no descriptor to watch it by
                if is_from_handler(error):
                    raise
                is_readable = pidfd.wait_readable(descriptor, None)
    return cancellation


async def _ended_without_pidfd(child: Awaited) -> None:
    if child.poll() is not None:
        await checkpoint()
    else:
        await to_thread.run_sync(child.wait, abandon_on_cancel=True)


async def at_its_turn(act: Callable[[], T]) -> T:
    """Call a function that blocks the loop for a moment: of many, one in each pass of the loop."""
    mine, turns = Event(), _turns.get([])
    if not turns:
        _turns.set(turns := [Event()])
        turns[0].set()
    before, turns[0] = turns[0], mine
    # No lock: a coroutine that is closed, or interrupted, while it takes one may leave it taken.
    try:
        await before.wait()  # which takes a pass, also where it is set
        return act()
    finally:
        with suppress(RuntimeError):  # the loop is closed
            mine.set()


def readable(descriptor: int) -> Awaitable[None]:
    """A wait until a descriptor can be read; no other task may wait for the same one."""
    wait = asyncio_watch.readable(descriptor)
    return wait_readable(descriptor) if wait is None else wait
