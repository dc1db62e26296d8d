"""What the thread of a pool waits for: its processes, a clone of its template, a word of another thread."""

import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING

from ..._core import Held

if TYPE_CHECKING:
    from threading import RLock

    from .worker import Worker

_ALL = select.EPOLLIN | select.EPOLLRDHUP  # that is heard of a process


def refuse_without_epoll() -> None:
    """RuntimeError where another library has taken it away: the pool's thread would stop all others."""
    if not hasattr(select, "epoll"):
        raise RuntimeError(
            "invalid executor: select.epoll is gone, as gevent and eventlet leave it when they patch; the "
            "executor's thread would be a greenlet that stops all others: make it where nothing is patched"
        )


class Awaited:
    """The processes by their descriptors, of which the kernel tells.

    lock: the pool's, which is held where a process is added or forgotten. Any thread adds one; that of the
    pool alone forgets them.
    """

    _wakes: int | None = None
    _maker = 0  # the class attributes are seen by __del__ when __init__ was interrupted

    def __init__(self, lock: "RLock") -> None:
        self._lock = lock
        self._workers: dict[int, Worker] = {}  # by its pidfd and by its channel
        self._events = select.epoll()
        self._wakes = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._maker = os.getpid()
        self._events.register(self._wakes, select.EPOLLIN)

    def close(self) -> None:
        """No process is waited for any more, and no word is heard."""
        with Held(self._lock) as take:
            take()
            wakes, self._wakes = self._wakes, None
        self._events.close()
        if wakes is not None:
            os.close(wakes)

    def __del__(self) -> None:
        """Of a pool that was interrupted as it was made."""
        if self._maker == os.getpid() and self._wakes is not None:
            os.close(self._wakes)

    @property
    def workers(self) -> "set[Worker]":
        """All of these processes."""
        return set(self._workers.values())

    def __len__(self) -> int:
        return len(self._workers)

    def at(self, descriptor: int) -> "Worker | None":
        """The process of that descriptor; None for one that was forgotten a moment before."""
        return self._workers.get(descriptor)

    def awaits_end(self, worker: "Worker") -> bool:
        """Whether the process has not ended; else its pidfd is closed, and the number may be another's."""
        return self._workers.get(worker.pidfd) is worker

    def hears(self, worker: "Worker") -> bool:
        """Whether what it sends is waited for."""
        return self._workers.get(worker.channel) is worker

    def wake(self) -> None:
        """Have the thread look at what there is to do."""
        with Held(self._lock) as take:  # once it is closed the number is another file's
            take()
            if self._wakes is not None:
                os.eventfd_write(self._wakes, 1)

    def add(self, worker: "Worker") -> None:
        """Wait for what it sends, and for its end, of which a process that it has forked may know nothing.

        Both are known before the thread hears of either, and its end is heard of by the time when what it
        sends is: an interrupt may come between. It can be called again then.
        """
        self._workers[worker.channel] = self._workers[worker.pidfd] = worker
        for descriptor in (worker.pidfd, worker.channel):
            try:
                self._events.register(descriptor, _ALL)
            except FileExistsError:  # also where a clone is awaited by that number
                self._events.modify(descriptor, _ALL)

    def add_clone(self, descriptor: int) -> bool:
        """Wait once for a word about a clone of the template. OSError where another thread has closed it.

        Returns whether that is no process's by now, of which all is to be heard: it may have begun a call.
        """
        once = select.EPOLLIN | select.EPOLLONESHOT
        with Held(self._lock) as take:
            take()
            if descriptor in self._workers:
                return False
            try:
                self._events.modify(descriptor, once)
            except FileNotFoundError:
                self._events.register(descriptor, once)
        return True

    def forget(self, worker: "Worker", descriptor: int) -> None:
        """That one of it is waited for no more."""
        if self._workers.get(descriptor) is worker:  # else it is another's by now
            del self._workers[descriptor]
            try:  # noqa: SIM105 - no call of suppress() between
                self._events.unregister(descriptor)
            except OSError:  # it was closed, which unregisters it
                pass

    def happened(self, seconds: float | None) -> list[int]:
        """The descriptors of which there is something to hear, after that time at most, None: for ever."""
        found = [descriptor for descriptor, _ in self._events.poll(seconds)]
        if self._wakes in found:
            found.remove(self._wakes)
            with suppress(BlockingIOError):
                os.eventfd_read(self._wakes)
        return found
