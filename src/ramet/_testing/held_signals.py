"""Signals of Python's handlers, held while a clone is made."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_signals() -> Iterator[set[int]]:
    """Block them for the block, which gets the mask from before.

    Python runs the fork handlers of its modules in the process that forks, and drops what they raise: the
    KeyboardInterrupt of a Ctrl-C that comes at this moment, too.
    """
    handled = [number for number in signal.valid_signals() if callable(signal.getsignal(number))]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, handled)
    try:
        yield set(map(int, before))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
