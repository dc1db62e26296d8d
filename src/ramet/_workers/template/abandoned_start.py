"""The start of a template's process in one thread, which another may give up."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import RLock
from typing import TypeVar

from ..._core import Held
from ..._process.child import Child
from ...errors import TemplateError

T = TypeVar("T")


class AbandonableStart:
    """What starts processes in one thread; they are killed while they load, once it is given up."""

    def __init__(self) -> None:
        self._lock = RLock()  # a signal handler may abandon it as well
        self._loading: Child[None] | None = None
        self.is_abandoned = False

    def run(self, act: Callable[[], T]) -> T:
        """Call a function that starts some."""
        token = _current.set(self)
        try:
            return act()
        finally:
            _current.reset(token)

    def abandon(self) -> None:
        """From another thread: end what is being started, and what would be."""
        with Held(self._lock) as take:
            take()
            self.is_abandoned = True
            self._kill()

    def wait_for(self, process: Child[None] | None) -> None:
        """It loads now; None: it has loaded, or ended, and will be reaped."""
        with Held(self._lock) as take:
            take()
            self._loading = process
            self._kill()

    def _kill(self) -> None:
        if self.is_abandoned and self._loading is not None:
            self._loading.kill()


_current: ContextVar[AbandonableStart | None] = ContextVar("ramet-abandonable-start", default=None)


@contextmanager
def abandonable(process: Child[None]) -> Iterator[None]:
    """While the process loads. Who waits for it sees its end if it was given up."""
    start = _current.get()
    if start is None:
        yield
        return
    start.wait_for(process)
    try:
        yield
    except TemplateError as error:
        if start.is_abandoned:
            error.add_note("its executor was ended as it loaded, and with that its loading")
        raise
    finally:
        start.wait_for(None)
