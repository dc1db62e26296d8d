"""The threads that a pool has of its own."""

import threading

from ..._kernel.signal_handlers import is_from_handler


class PoolThreads:
    """Those of one pool. All of its calls need them: no error ends what they do."""

    def __init__(self) -> None:
        self.serving: threading.Thread | None = None
        self.beside: threading.Thread | None = None  # which begins calls for that one

    def have_current(self) -> bool:
        """Whether the calling thread is one of them."""
        return threading.current_thread() in (self.serving, self.beside)

    def is_interrupt(self, error: BaseException) -> bool:
        """Whether it ends what the calling thread does."""
        is_interrupt = not isinstance(error, Exception) or is_from_handler(error)
        return is_interrupt and not self.have_current()
