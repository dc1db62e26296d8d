"""One descriptor in an asyncio loop for all that is waited for in it."""

import asyncio
import select
from collections.abc import Coroutine
from typing import Any
from weakref import ref


class Watch:
    """Tells which descriptors can be read, by an epoll descriptor that the loop watches.

    To add each to the loop's own selector and remove it again is Python all the way, and takes an
    eighth of the time of a short program. The loop alone holds this, and lets go of it when it is
    closed.
    Source: epoll(7).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        loop.add_reader(self._epoll, self._tell)

    async def readable(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        """Wait until it can be read; nobody else waits for it."""
        self._epoll.register(descriptor, select.EPOLLIN)
        self._waiting[descriptor] = future = loop.create_future()
        try:
            await future
        finally:
            if descriptor in self._waiting:
                self._forget(descriptor)

    def _tell(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            future = self._forget(descriptor)
            if not future.done():
                future.set_result(None)

    def _forget(self, descriptor: int) -> "asyncio.Future[None]":
        self._epoll.unregister(descriptor)
        return self._waiting.pop(descriptor)


_watches: dict[int, ref[Watch]] = {}  # by the id of the loop


def readable(descriptor: int) -> Coroutine[Any, Any, None] | None:
    """A wait until a descriptor can be read for which nobody else waits.

    None where it is not asyncio that runs this task: trio may be the guest of a loop.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    if asyncio.current_task(loop) is None:
        return None
    known = _watches.get(id(loop))
    watch = _new_watch(loop) if known is None else known()
    return None if watch is None else watch.readable(loop, descriptor)


def _new_watch(loop: asyncio.AbstractEventLoop) -> Watch:
    watch, number = Watch(loop), id(loop)
    _watches[number] = ref(watch, lambda _: _watches.pop(number))
    return watch
