"""When a template is told what comes with each call, so that later calls need not be."""

# To tell the template costs as much as to tell a few calls, and the spares that it has made end. What
# differs at each call, such as a variable with the name of a test, is told to that call alone.
CALLS_BEFORE = 4


def is_time(calls: int) -> bool:
    """Whether it is told at this call, of so many with the same: at a few, then ever more rarely.

    It may have refused it for good, or for want of a descriptor at that moment.
    """
    return calls >= CALLS_BEFORE and calls & (calls - 1) == 0
