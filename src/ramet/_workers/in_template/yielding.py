"""A template yields the processor to its caller, and its clones do not."""

import os
from contextlib import suppress
from functools import partial
from struct import Struct

_SCHED_PARAM = Struct("i")  # struct sched_param


def begin_to_yield() -> bool:
    """Let a request not take the processor from its caller, who goes on: sched(7) SCHED_BATCH."""
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        return True
    return False


yield_no_more = partial(os.sched_setscheduler, 0, os.SCHED_OTHER, os.sched_param(0))
TO_YIELD_NO_MORE = ("SCHED_SETSCHEDULER", 0, os.SCHED_OTHER, bytearray(_SCHED_PARAM.pack(0)))
