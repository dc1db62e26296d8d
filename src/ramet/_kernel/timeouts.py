"""Timeouts in seconds, the deadlines that follow from them, and pauses where no event can be waited for."""

import math
import sys
import time
from collections.abc import Iterator

from .names import LARGEST_INT

_LARGEST = sys.float_info.max

# For those who wait in Python's functions, which count nanoseconds in 64 bits: 31 years.
LONGEST_WAIT_SECONDS = 1e9


def checked_timeout(timeout: float | None, name: str = "timeout") -> float | None:
    """The timeout itself; TypeError or ValueError, with its name, when it is no number of seconds."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"invalid {name}: expected seconds or None, got {timeout!r}")
    if timeout > _LARGEST and timeout != math.inf:
        raise ValueError(
            f"invalid {name}: expected {_LARGEST} seconds or less, got more; for no limit leave it out"
        )
    if not timeout >= 0:  # NaN too
        raise ValueError(f"invalid {name}: expected 0 seconds or more, got {timeout}")
    return timeout


def checked_as_in_subprocess(timeout: float | None) -> float | None:
    """The same, but a negative one is over at once, as what is left until a deadline may be."""
    is_over = isinstance(timeout, int | float) and timeout < 0
    return 0.0 if is_over else checked_timeout(timeout)


def deadline_after(timeout: float | None) -> float | None:
    """The moment, in seconds of time.monotonic(), at which a timeout is over; None for None."""
    return None if timeout is None else time.monotonic() + timeout


def seconds_until(deadline: float | None) -> float | None:
    """How long it is until the deadline, 0.0 once it has passed; None for None."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def milliseconds_until(deadline: float | None) -> int | None:
    """The same for poll(2), which counts milliseconds in a C int: rounded up, so that it is never early."""
    seconds = seconds_until(deadline)
    return None if seconds is None else math.ceil(min(seconds * 1000, LARGEST_INT))


def pauses(first: float = 0.0005, longest: float = 0.05) -> Iterator[float]:
    """The seconds to sleep between one look and the next: each twice as long as the one before."""
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, longest)
