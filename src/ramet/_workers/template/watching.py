"""The thread that looks at calls while they run, where the kernel keeps no limit of theirs."""

import errno
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from ..._core import Held
from ..._limits.resident_watch import SECONDS_BETWEEN_LOOKS

if TYPE_CHECKING:
    from .called_child import CalledChild

_MOST_IDLE_LOOKS = 10  # before the thread ends: the next call may be about to begin
_TREE_SECONDS = 1.0


class Watched(Protocol):
    """What a call may have so much of."""

    def look(self, child: "CalledChild[Any]") -> bool:
        """Kill the call if it has too much. Returns whether it need not be looked at any more."""


class Watcher:
    """The thread that looks at all of them; there is none while there are none."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may begin a call as well
        self._watched: list[tuple[Watched, weakref.ref[CalledChild[Any]]]] = []
        self._thread: threading.Thread | None = None
        self._nothing_to_do = threading.Event()
        self._idle_looks = 0

    def add(self, watched: Watched, child: "CalledChild[Any]") -> None:
        with Held(self._lock) as take:
            take()
            self._watched.append((watched, weakref.ref(child)))
            self._start()

    def have_thread(self) -> None:
        """For a child that is added soon. BlockingIOError: no thread can be made."""
        with Held(self._lock) as take:
            take()
            self._idle_looks = 0
            self._start()

    def _start(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        made = threading.Thread(target=self._run, name="ramet-watch", daemon=True)
        try:
            made.start()
        except RuntimeError as error:
            why = f"no thread can be made that looks at calls: {error}"
            raise BlockingIOError(errno.EAGAIN, why) from None
        self._thread = made

    def _run(self) -> None:
        while True:
            self._nothing_to_do.wait(SECONDS_BETWEEN_LOOKS)
            with Held(self._lock) as take:
                take()
                looked = tuple(self._watched)
            # Not with the lock: the end of a tree takes a while, and other calls begin meanwhile.
            done = {id(one) for one in looked if _is_done(*one)}
            with Held(self._lock) as take:
                take()
                self._watched = self._without(done)
                self._idle_looks = 0 if self._watched else self._idle_looks + 1
                if self._idle_looks > _MOST_IDLE_LOOKS:
                    self._thread = None
                    return

    def _without(self, done: set[int]) -> "list[tuple[Watched, weakref.ref[CalledChild[Any]]]]":
        return [one for one in self._watched if id(one) not in done]


def _is_done(watched: Watched, reference: "weakref.ref[CalledChild[Any]]") -> bool:
    child = reference()
    if child is None:
        return True
    try:
        return watched.look(child)
    except PermissionError:  # it has become another user's, which no signal of this one's reaches
        return True


def kill_tree(child: "CalledChild[Any]") -> None:
    """Kill a call and what it has started, which may be what exceeds the limit."""
    if not child._has_namespace:
        with suppress(OSError, RuntimeError):  # also where no descriptor is free to find it by
            child._end_tree(_TREE_SECONDS)
    child._kill_all()


watcher = Watcher()
