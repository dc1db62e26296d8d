"""What a clone is sent to run a call, and what it says besides outcomes."""

import pickle
from typing import Any, TypedDict

from ..._core import plain_bytes, plain_value

# Kinds; those of outcomes are result_layout's, and those of a template's messages template_messages'.
CALL = 1  # to it; native/python/channel.h
READY = 64  # from one that has been asked to say when it is warm
# A plan of these alone is letters, in their order, and steps: native/python/call_plan.c carries it out.
ENTER, ANSWER, STREAMS, NOT_LAST = b"e", b"s", (b"0", b"1", b"2"), b"+"
STEPS = b"="  # all that follows are these
_FIRST_OF_PICKLE = b"\x80"
_IN_LETTERS = frozenset({"entry", "stack", "streams", "last", "steps"})


class CallPlan(TypedDict, total=False):
    """What a call asks of its process besides its function: in_call/plan_of_call.py carries it out.

    Most calls ask for nothing, and their plan is no bytes at all. With it come descriptors, in this order.
    """

    entry: int  # of so many cgroups: a descriptor of cgroup.procs each, in which it writes itself
    stack: bool  # where it writes its Python stack when it is asked: a descriptor
    passed: int  # so many, for its function
    data_limit: int  # of bytes beyond what it has: RLIMIT_DATA
    caller: dict[str, Any]  # what the caller has changed: CallerState.changes()
    streams: tuple[
        int, ...
    ]  # of its standard input, output and error those that are others: one each
    # The flags of the clone call, and SentOptions.options: the process works out the steps.
    options: tuple[int, dict[str, Any]]
    steps: tuple[object, ...]  # of its setup: see steps_that_cross()
    stopped: bool  # it stops before its function
    trusted: bool  # as for clone()
    last: bool  # False: another call may follow in the same process


def written_plan(plan: CallPlan) -> bytes:
    """As the first part of a call."""
    steps = plain_bytes(plan["steps"]) if "steps" in plan else b""
    if steps is None or not plan.keys() <= _IN_LETTERS:  # the steps are too long, or there is more
        return pickle.dumps(plan)
    letters = ENTER * plan.get("entry", 0) + ANSWER * plan.get("stack", False)
    letters += b"".join(STREAMS[number] for number in plan.get("streams", ()))
    letters += NOT_LAST * (not plan.get("last", True))
    return letters + STEPS + steps if steps else letters


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
    letters, _, steps = text.partition(STEPS)
    if ENTER in letters:
        plan["entry"] = letters.count(ENTER)
    if ANSWER in letters:
        plan["stack"] = True
    streams = tuple(int(letter) for letter in letters.decode() if letter.isdigit())
    if streams:
        plan["streams"] = streams
    if NOT_LAST in letters:
        plan["last"] = False
    if steps:
        plan["steps"] = plain_value(steps)
    return plan
