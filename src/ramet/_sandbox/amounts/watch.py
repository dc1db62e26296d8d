"""The thread that looks at children whose amounts no cgroup and no limit keeps."""

import math
import os
import sys
import threading
import time
from collections.abc import Callable

from ..._core import Held

# So long an idle thread waits for work before it ends, and so late it may notice that there is none.
_LONGEST_PAUSE_SECONDS = 0.25

Look = Callable[[], float | None]


class Watch:
    """One thread for all children of this process; it ends when there was nothing to look at for a while.

    Each child says after a look in how many seconds it wants the next one, None for no more.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[int, tuple[float, Look]] = {}
        self._numbers = 0
        self._wakes_at = 0.0
        self._thread: threading.Thread | None = None
        self._maker = os.getpid()

    def add(self, look: Look, seconds: float) -> int:
        """Have it look in so many seconds; the number is for remove()."""
        self._leave_to_parent()
        at = time.monotonic() + seconds
        with Held(self._changed) as take:
            take()
            self._numbers += 1
            self._due[self._numbers] = (at, look)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="ramet-amounts", daemon=True)
                try:
                    self._thread.start()
                except BaseException:
                    self._due.pop(self._numbers, None)
                    raise
            elif at < self._wakes_at:
                self._changed.notify()
            return self._numbers

    def remove(self, number: int) -> None:
        """Look at it no more; a look that has begun may still go on."""
        if self._maker == os.getpid():
            with Held(self._changed) as take:
                take()
                self._due.pop(number, None)

    def _leave_to_parent(self) -> None:
        """A copy of the process has no thread, and no right to the children of its original."""
        if self._maker != os.getpid():
            self._begin()

    def _run(self) -> None:
        while True:
            for number, look in self._ready():
                seconds = _looked(look)
                with Held(self._changed) as take:
                    take()
                    if seconds is None:
                        self._due.pop(number, None)
                    elif number in self._due:
                        self._due[number] = (time.monotonic() + seconds, look)
            with Held(self._changed) as take:
                take()
                now = time.monotonic()
                nearest = min((at for at, _ in self._due.values()), default=math.inf)
                self._wakes_at = min(nearest, now + _LONGEST_PAUSE_SECONDS)
                if self._wakes_at > now:
                    self._changed.wait(self._wakes_at - now)
                if not self._due and time.monotonic() >= self._wakes_at:
                    self._thread = None
                    return

    def _ready(self) -> list[tuple[int, Look]]:
        with Held(self._changed) as take:
            take()
            return self._due_by(time.monotonic())

    def _due_by(self, now: float) -> list[tuple[int, Look]]:
        return [(number, look) for number, (at, look) in self._due.items() if at <= now]


def _looked(look: Look) -> float | None:
    """Look; one that fails is told, and done again: the others must not be left without a thread."""
    try:
        return look()
    except Exception:
        threading.excepthook(
            threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread()))
        )
        return _LONGEST_PAUSE_SECONDS


watch = Watch()
