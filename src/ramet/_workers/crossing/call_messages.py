"""What a clone is sent to run a call, and what it says besides outcomes."""

from collections.abc import Sequence
from typing import Any, TypedDict

# Kinds; those of outcomes are result_layout's, and those of a template's messages template_messages'.
CALL = 1  # to it; native/python/channel.h
READY = 64  # from one that has been asked to say when it is warm
# In the place of a plan that says no more than that another call may follow: native/python/plain_calls.c.
NOT_LAST = b"+"


class CallPlan(TypedDict, total=False):
    """What a call asks of its process besides its function: in_call/plan_of_call.py carries it out.

    Most calls ask for nothing, and their plan is no bytes at all. With it come descriptors, in this order.
    """

    entry: int  # of so many cgroups: a descriptor of cgroup.procs each, in which it writes itself
    stack: bool  # where it writes its Python stack when it is asked: a descriptor
    outputs: bool  # its standard output and error: two
    passed: int  # so many, for its function
    data_limit: int  # of bytes beyond what it has: RLIMIT_DATA
    caller: dict[str, Any]  # what the caller has changed: CallerState.changes()
    # The version of Landlock, and the paths below which it may write.
    write: tuple[int, Sequence[str]]
    options: dict[str, Any]  # SentOptions.options
    name: str  # of its process
    stopped: bool  # it stops before its function
    trusted: bool  # as for clone()
    last: bool  # False: another call may follow in the same process
