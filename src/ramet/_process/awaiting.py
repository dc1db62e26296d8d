"""Waiting for a child under whichever event loop runs: asyncio's, or trio's."""

import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from threading import Thread
from typing import Protocol, TypeVar

from anyio import CancelScope, move_on_after, to_thread, wait_readable
from anyio.lowlevel import checkpoint

from ..exit_status import ExitStatus
from . import asyncio_watch

# How long a function that was interrupted has to come to its end: Child.terminate()'s default.
_GRACE_SECONDS = 1.0


class Awaited(Protocol):
    """What is asked of a child that somebody awaits."""

    def kill(self) -> None:
        """End it at once."""

    def poll(self) -> ExitStatus | None:
        """How it ended, or None while it runs."""

    def wait(self) -> ExitStatus:
        """Wait for it, the loop standing still meanwhile."""

    def copied_pidfd(self) -> int | None:
        """A copy of its pidfd, the caller's to close; None where it has none, or none any more."""


class Interruptible(Awaited, Protocol):
    """A function in shared memory."""

    def interrupt(self) -> bool:
        """Raise an exception in it."""

    def terminate(self, grace: float) -> None:
        """Interrupt it, and after a time of grace kill it if it is a process."""


C = TypeVar("C", bound=Awaited)
T = TypeVar("T")


async def conclude(
    child: C, cancelled: Callable[[C], Awaitable[object]] | None = None
) -> ExitStatus:
    """Wait until the child has ended, and reap it.

    cancelled: what is to be done about it after a cancellation; else it runs on.

    Each waiter has a copy of the pidfd of its own: whoever reaps the child closes the first one,
    and a loop is never told that what it watches was closed.
    Source: pidfd_open(2), waitid(2).
    """
    copy = child.copied_pidfd()
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
    """Kill the child and reap it, whatever is cancelled meanwhile."""
    if child.poll() is not None:
        return
    child.kill()
    try:
        with CancelScope(shield=True):
            await conclude(child)
    finally:
        child.wait()  # a shield is none against asyncio's own cancellation; this one is


async def interrupt(child: Interruptible) -> None:
    """Interrupt the function, so that nothing is lost, and wait for its end; after a second kill it.

    A thread of this process, which cannot be killed, is then left to itself.
    """
    child.interrupt()
    try:
        with CancelScope(shield=True), move_on_after(_GRACE_SECONDS):
            await conclude(child)
    finally:
        if child.poll() is None:
            child.terminate(0.0)


async def in_new_thread(act: Callable[[], T]) -> T:
    """What comes of a function in a thread that is made for it, and is all that the calling one is.

    A thread that was kept would have what the calling one has given up, and perhaps other files
    under the same numbers. No cancellation ends it.
    """
    outcome: Future[T] = Future()
    done = os.eventfd(0, os.EFD_CLOEXEC)

    def run() -> None:
        try:
            outcome.set_result(act())
        except BaseException as error:
            outcome.set_exception(error)
        os.eventfd_write(done, 1)

    thread = Thread(target=run)
    try:
        thread.start()
        with CancelScope(shield=True):
            await readable(done)
    finally:
        if thread.ident is not None:
            thread.join()
        os.close(done)
    return outcome.result()


async def _ended_without_pidfd(child: Awaited) -> None:
    if child.poll() is not None:
        await checkpoint()
    else:
        await to_thread.run_sync(child.wait, abandon_on_cancel=True)


def readable(descriptor: int) -> Awaitable[None]:
    """A wait until a descriptor can be read for which nobody else waits."""
    wait = asyncio_watch.readable(descriptor)
    return wait_readable(descriptor) if wait is None else wait
