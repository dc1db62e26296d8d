"""One epoll descriptor in an asyncio loop, for all pidfds that its tasks wait for."""

import asyncio
import select
from collections.abc import Coroutine
from typing import Any
from weakref import ref


class Watch:
    """Waits for descriptors to become readable, by an epoll descriptor that the loop watches.

    To add each of them to the loop's own selector and remove it again runs Python code, which takes an
    eighth of the time of a short program. Only the loop refers to this object, until it is closed.
    Source: epoll(7).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        loop.add_reader(self._epoll, self._wake_waiters)

    async def readable(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        """Wait until it can be read; no other task may wait for the same one."""
        self._epoll.register(descriptor, select.EPOLLIN)
        self._waiting[descriptor] = future = loop.create_future()
        try:
            await future
        finally:
            if descriptor in self._waiting:
                self._remove(descriptor)

    def _wake_waiters(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            future = self._remove(descriptor)
            if not future.done():
                future.set_result(None)

    def _remove(self, descriptor: int) -> "asyncio.Future[None]":
        self._epoll.unregister(descriptor)
        return self._waiting.pop(descriptor)


_watches: dict[int, ref[Watch]] = {}  # by the id of the loop


def readable(descriptor: int) -> Coroutine[Any, Any, None] | None:
    """A wait until a descriptor can be read; no other task may wait for the same one.

    None when this task is not one of asyncio: trio can run as the guest of an asyncio loop.
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
