"""The thread that looks at children while they run, where the kernel keeps no limit of theirs."""

import errno
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from itertools import count

from .._core import Held

# So long an idle thread waits for work before it ends, and so late it may notice that there is none.
_LONGEST_PAUSE_SECONDS = 0.25
# It wakes as often meanwhile as calls are looked at: who adds the next look need not wake it, which would
# take the interpreter from the caller while a call begins.
_IDLE_PAUSE_SECONDS = 0.01
# What is due so soon after another is looked at with it: looks with the same pause come together, and the
# thread wakes once for them.
_SLACK_SECONDS = 0.005
_NOTHING = 0  # the number of a look at nothing, for which the thread is there

Look = Callable[[], float | None]


class WatchThread:
    """One thread for all children of this process; it ends when there was nothing to look at for a while.

    Each look returns in how many seconds the next one is due, None for no more: from when those that it
    came with are done, so that the thread rests also where they take long. It runs without a lock, and
    delays all others: it must not wait for long.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._changed = threading.Condition()  # with an RLock: a signal handler may add one as well
        self._due: dict[int, tuple[float, Look]] = {}
        self._numbers = count(_NOTHING + 1)
        self._wakes_at = self._ends_at = 0.0
        self._thread: threading.Thread | None = None
        self._maker = os.getpid()

    def have_thread(self) -> None:
        """Have it there for a look that is added soon. BlockingIOError: no thread can be made."""
        self._add(_NOTHING, _look_at_nothing, _IDLE_PAUSE_SECONDS)

    def add(self, look: Look, seconds: float) -> int:
        """Look in so many seconds. Returns the number for remove(). BlockingIOError as above."""
        number = next(self._numbers)
        self._add(number, look, seconds)
        return number

    def _add(self, number: int, look: Look, seconds: float) -> None:
        self._leave_to_parent()
        at = time.monotonic() + seconds
        with Held(self._changed) as take:
            take()
            self._start()
            self._due[number] = (at, look)
            if at < self._wakes_at:
                self._changed.notify()

    def remove(self, number: int) -> None:
        """Look no more; a look that has begun may still go on."""
        if self._maker == os.getpid():
            with Held(self._changed) as take:
                take()
                self._due.pop(number, None)

    def _leave_to_parent(self) -> None:
        """A copy of the process has no thread, and no right to the children of its original."""
        if self._maker != os.getpid():
            self._begin()

    def _start(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        self._thread = made = threading.Thread(target=self._run, name="ramet-watch", daemon=True)
        try:
            made.start()
        except RuntimeError as error:
            why = f"no thread can be made that looks at children: {error}"
            raise BlockingIOError(errno.EAGAIN, why) from None

    def _run(self) -> None:
        while self._wait():
            looked = [(number, look, _looked(look)) for number, look in self._ready()]
            now = time.monotonic()
            for number, look, seconds in looked:
                self._put_off(number, look, None if seconds is None else now + seconds)

    def _wait(self) -> bool:
        """Until a look is due, or one was added. Returns False when the thread is to end."""
        with Held(self._changed) as take:
            take()
            now, pause = time.monotonic(), _IDLE_PAUSE_SECONDS
            if self._due:
                self._ends_at, pause = now + _LONGEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS
            self._wakes_at = min(self._nearest(), now + pause)
            if self._wakes_at > now:
                self._changed.wait(self._wakes_at - now)
            if not self._due and time.monotonic() >= self._ends_at:
                self._thread = None
                return False
            return True

    def _ready(self) -> list[tuple[int, Look]]:
        with Held(self._changed) as take:
            take()
            return self._due_by(time.monotonic())

    def _due_by(self, now: float) -> list[tuple[int, Look]]:
        if self._nearest() > now:
            return []
        soon = now + _SLACK_SECONDS
        return [(number, look) for number, (at, look) in self._due.items() if at <= soon]

    def _nearest(self) -> float:
        return min((at for at, _ in self._due.values()), default=math.inf)

    def _put_off(self, number: int, look: Look, until: float | None) -> None:
        with Held(self._changed) as take:
            take()
            if until is None:
                self._due.pop(number, None)
            elif number in self._due:  # else it was removed meanwhile
                self._due[number] = (until, look)


def _look_at_nothing() -> None:
    return None


def _looked(look: Look) -> float | None:
    """Look; one that fails is told, and done again: the others must not be left without a thread."""
    try:
        return look()
    except Exception:
        threading.excepthook(
            threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread()))
        )
        return _LONGEST_PAUSE_SECONDS


watch_thread = WatchThread()
