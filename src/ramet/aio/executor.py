"""Calls in processes of their own, under asyncio and trio."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Self, TypeVar

from anyio import Event

from .._preflight.hints import no_attribute_of_aio, no_callable
from .._process import awaiting
from .._workers.executor.call_future import CallFuture
from .._workers.executor.executor import Executor as BlockingExecutor
from .._workers.template.abandoned_start import AbandonableStart

T = TypeVar("T")
P = ParamSpec("P")

# How many calls map() has ahead for each that may run.
_AHEAD_FOR_EACH = 2


class Executor:
    """Runs every call in a process of its own, without blocking the loop: ramet.Executor's calls.

    It is an asynchronous context manager: at the beginning of the block its template loads, in a thread,
    while the loop goes on; a cancellation ends it. At the end of the block all calls
    are waited for; when an exception or a cancellation leaves it, they are killed. No process is left after
    it.

    arguments, options: those of ramet.Executor.

    Raises as ramet.Executor does, when the block begins.
    Needs: what ramet.Executor needs.
    Source: clone(2), pid_namespaces(7).
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._make = partial(BlockingExecutor, *arguments, **options)
        self._calls: set[CallFuture[Any]] = set()
        self._executor: BlockingExecutor | None = None

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(*args, **kwargs)`` in a process of its own, and return what it returns.

        More calls than ``max_workers`` wait for their turn. A cancellation kills the call, with all
        processes that it started.
        Raises what the function raises; ChildDied, as DeadlineExceeded at its deadline, when the call ended
        without a result; RuntimeError outside of the block; TypeError for what cannot be pickled.
        Source: clone(2).
        """
        return await _outcome(self._begun(partial(fn, **kwargs) if kwargs else fn, args))

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        buffersize: int | None = None,
    ) -> AsyncGenerator[T, None]:
        """The results of ``fn`` for the items of the iterables, in their order; for ``async for``.

        buffersize: how many calls are ahead of the one whose result is awaited; the iterables are read no
        further. By default two for each of ``max_workers``.

        Returns an asynchronous generator. The calls that are ahead are killed when one fails, and when the
        generator is closed: ``async with contextlib.aclosing(executor.map(...)) as results`` does that for
        certain. Where nothing else refers to it, as in ``async for result in executor.map(...)``, the event
        loop closes it soon after a ``break`` or an exception; else the calls run on, and the end of the
        executor's block waits for them.
        Raises as run() does; TypeError and ValueError for an invalid buffersize.
        """
        if not callable(fn):
            raise no_callable(fn, "map")
        if isinstance(buffersize, bool) or not isinstance(buffersize, int | None):
            raise TypeError(f"invalid buffersize: expected an int or None, got {buffersize!r}")
        if buffersize is not None and buffersize < 1:
            raise ValueError(f"invalid buffersize: expected at least 1, got {buffersize}")
        ahead = buffersize or self._open_executor().max_workers * _AHEAD_FOR_EACH
        return self._results(fn, zip(*iterables, strict=False), ahead)

    async def _results(
        self, fn: Callable[..., T], items: Iterator[tuple[Any, ...]], ahead: int
    ) -> AsyncGenerator[T, None]:
        futures: deque[CallFuture[T]] = deque()
        try:
            for arguments in items:
                futures.append(self._begun(fn, arguments))
                if len(futures) > ahead:
                    yield await _outcome(futures.popleft())
            while futures:
                yield await _outcome(futures.popleft())
        finally:
            for future in futures:
                future.cancel()

    def _open_executor(self) -> BlockingExecutor:
        if self._executor is None:
            raise RuntimeError(
                "invalid executor: expected calls inside of its block: "
                "async with ramet.aio.Executor() as executor"
            )
        return self._executor

    def _begun(self, fn: Callable[..., T], args: tuple[Any, ...]) -> CallFuture[T]:
        executor = self._open_executor()
        if not callable(fn):
            raise no_callable(fn, "run")
        future = executor.submit(fn, *args)
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        return future

    async def __aenter__(self) -> Self:
        if self._executor is not None:
            raise RuntimeError("invalid executor: it is in use already; make another one")

        start = AbandonableStart()

        def make() -> None:
            self._executor = start.run(self._make)

        try:
            await awaiting.in_new_thread(make, start.abandon)
        except BaseException:
            executor, self._executor = self._executor, None
            if executor is not None:  # made in spite of a cancellation
                await awaiting.in_new_thread(executor.shutdown)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        executor = self._open_executor()
        try:
            if kind is None:
                while self._calls:
                    for call in list(self._calls):
                        await _done(call)
        finally:
            for call in list(self._calls):
                call.cancel()
            self._executor = None
            await awaiting.in_new_thread(executor.shutdown)

    if not TYPE_CHECKING:  # to a type checker it would be a context manager of both kinds

        def __enter__(self, *_: object) -> NoReturn:
            raise TypeError(
                "invalid block: expected 'async with' for a ramet.aio.Executor, got 'with'; that is for "
                "ramet.Executor, whose submit() needs no loop"
            )

        __exit__ = __enter__

        def __getattr__(self, name: str) -> NoReturn:
            raise no_attribute_of_aio(self, name)


async def _outcome(future: CallFuture[T]) -> T:
    """The result, or the exception; a cancellation of this task is one of the call."""
    try:
        await _done(future)
    except BaseException:
        future.cancel()
        raise
    try:
        return future.result()
    except CancelledError:
        # By the end of the block; the two loops have a cancellation of their own.
        raise RuntimeError("the call was killed: its executor's block was left") from None


async def _done(future: Future[Any]) -> None:
    """Wait until it is done; after a cancellation it runs on."""
    done = Event()
    in_loop = _caller_in_this_loop()

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            in_loop(done.set)

    future.add_done_callback(tell)
    await done.wait()


def _caller_in_this_loop() -> Callable[[Callable[[], object]], object]:
    """What runs a function in the loop of this task, called from any thread."""
    with suppress(RuntimeError):
        loop = asyncio.get_running_loop()
        if asyncio.current_task(loop) is not None:  # else trio runs as its guest
            return loop.call_soon_threadsafe
    from trio.lowlevel import current_trio_token

    return current_trio_token().run_sync_soon
