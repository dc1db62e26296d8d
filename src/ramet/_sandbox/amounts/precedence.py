"""What puts the caller before all other processes, and is no part of what a sandbox has.

Source: sched(7), setpriority(2), proc_pid_oom_score_adj(5).
"""

import os
from collections.abc import Iterator

_SCORE = "/proc/self/oom_score_adj"
_OF_REAL_TIME = (os.SCHED_FIFO, os.SCHED_RR)


def taken_back() -> Iterator[tuple[str, object]]:
    """The options by which a child of this thread does without, of what this has; each needs no right."""
    if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK in _OF_REAL_TIME:
        yield "scheduler", "other"
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        yield "nice", 0
    if _score() < 0:
        yield "oom_score_adj", 0


def _score() -> int:
    try:
        with open(_SCORE, "rb", buffering=0) as file:
            return int(file.read())
    except (OSError, ValueError):  # no /proc
        return 0
