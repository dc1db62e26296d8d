"""The order of the kernel objects of two tasks, for the many comparisons of a whole system."""

from .. import _core

FIRST_IS_LESS = 1


def order(first: int, second: int, kind: int) -> int:
    """0 when both have the same object, 1 when that of the first is less, 2 when it is greater.

    first, second: tids; kind: a number of linux/kcmp.h. Raises OSError as ramet.lowlevel.kcmp()
    does, which checks its arguments and takes longer.
    Source: kcmp(2).
    """
    return _core.kcmp(first, second, kind, 0, 0)
