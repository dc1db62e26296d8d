"""The rules, a file for each stage of the call in the kernel, and all of them in its order.

To add a rule, add a row where the kernel has its check. A rule with several causes is several rows
with one id and a sentence each.
"""

from ..rule import Rule
from . import (
    above_bit_63,
    cgroups,
    clone3_arguments,
    clone_flags,
    ignored,
    limits,
    namespaces,
    pids,
    setns,
    unshare,
)

RULES: tuple[Rule, ...] = (
    *above_bit_63.ROWS,
    *clone3_arguments.ROWS,
    *clone_flags.ROWS,
    *unshare.ROWS,  # before the rows that it has in common with the other two
    *limits.ROWS,
    *namespaces.ROWS,
    *pids.ROWS,
    *cgroups.ROWS,
    *ignored.ROWS,
    *setns.ROWS,
)
