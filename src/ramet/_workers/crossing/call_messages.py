"""What a clone is sent to run a call, and what it says besides outcomes."""

import pickle
from collections.abc import Sequence
from typing import Any, TypedDict

# Kinds; those of outcomes are result_layout's, and those of a template's messages template_messages'.
CALL = 1  # to it; native/python/channel.h
READY = 64  # from one that has been asked to say when it is warm
# A plan of these alone is letters, which the core carries out: native/python/call_plan.c. In their order.
ENTER, ANSWER, WRITE, NOT_LAST = b"e", b"s", b"o", b"+"
_FIRST_OF_PICKLE = b"\x80"
_IN_LETTERS = frozenset({"entry", "stack", "outputs", "last"})


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


def written_plan(plan: CallPlan) -> bytes:
    """As the first part of a call."""
    if not plan.keys() <= _IN_LETTERS:
        return pickle.dumps(plan)
    stack, outputs = plan.get("stack", False), plan.get("outputs", False)
    letters = ENTER * plan.get("entry", 0) + ANSWER * stack + WRITE * outputs
    return letters + NOT_LAST * (not plan.get("last", True))


def is_in_letters(written: bytes) -> bool:
    """Whether the core carries it out."""
    return written[:1] != _FIRST_OF_PICKLE


def read_plan(written: Any) -> CallPlan:
    """Of the first part of a call."""
    text = bytes(written)
    if not is_in_letters(text):
        plan: CallPlan = pickle.loads(text)
        return plan
    plan = {}
    if ENTER in text:
        plan["entry"] = text.count(ENTER)
    if ANSWER in text:
        plan["stack"] = True
    if WRITE in text:
        plan["outputs"] = True
    if NOT_LAST in text:
        plan["last"] = False
    return plan
