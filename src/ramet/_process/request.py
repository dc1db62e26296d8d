"""What a clone call is asked for: the flags and the exit signal, each said once."""

import functools
import signal
from operator import index

from .._kernel.clone_args import CloneArgs
from .._kernel.clone_bits import LOW_LEVEL, PARENT, THREAD
from ..flags import LAST_SIGNAL, SIGNAL_BITS, CloneFlag, flag_bits


def _signal_number(exit_signal: int) -> int:
    if isinstance(exit_signal, bool) or not isinstance(
        exit_signal, int
    ):  # int() would take 1.5 and "1"
        raise TypeError(f"exit_signal is a number such as signal.SIGUSR1, not {exit_signal!r}")
    return index(exit_signal)


def requested(flags: int, exit_signal: int | None = None) -> CloneArgs:
    """The request for a child with these flags, which may hold its exit signal; the library's own."""
    number = None if exit_signal is None else _signal_number(exit_signal)
    wanted, signal_number = flags_and_signal(flag_bits(flags), number)
    return CloneArgs(flags=wanted, exit_signal=signal_number)


@functools.lru_cache(maxsize=256)
def flags_and_signal(flags: int, exit_signal: int | None) -> tuple[int, int]:
    """The flags without their exit signal, and the exit signal: said once, or by default."""
    if flags < 0:
        raise ValueError(f"flags is not negative, as {flags} is")
    low = flags & SIGNAL_BITS
    if exit_signal is not None and low and exit_signal != low:
        raise ValueError(f"the exit signal is said twice: {low} in flags, and {exit_signal}")
    if flags & LOW_LEVEL:
        raise ValueError(
            f"{CloneFlag(flags & LOW_LEVEL)} needs a word or an address: use ramet.lowlevel"
        )
    if exit_signal is None:
        quiet = flags & (THREAD | PARENT)
        exit_signal = low or (0 if quiet else signal.SIGCHLD)
    if not 0 <= exit_signal <= LAST_SIGNAL:
        raise ValueError(f"the exit signal is 0 to {LAST_SIGNAL}, not {exit_signal}")
    return flags & ~SIGNAL_BITS, exit_signal
