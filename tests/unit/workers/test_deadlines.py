"""Deadlines of calls: the first comes first, and a call that is over is not kept."""

import gc
import random
import weakref

from ramet._workers.executor.call import Call
from ramet._workers.executor.deadlines import Deadlines


def made(number: int) -> Call:
    call = Call(abs, (), {})
    call.number = number
    return call


def test_the_first_comes_first() -> None:
    """In whatever order they are added; the same time twice is no question of which call is less."""
    calls = [made(number) for number in range(100)]
    order = [number // 2 for number in range(100)]
    random.Random(1).shuffle(order)
    deadlines, least = Deadlines(), 100
    for call, deadline in zip(calls, order, strict=True):
        assert deadlines.add(deadline, call) == (deadline < least)
        least = min(least, deadline)
        assert deadlines.first == least
    expired = [deadlines.take_expired(24.5) for _ in range(51)]
    assert expired.pop() is None
    found = [call.number for call in expired if call is not None]
    assert sorted(found) == [n for n in range(100) if order[n] < 25]
    assert [order[number] for number in found] == sorted(order[number] for number in found)
    assert deadlines.first == 25


def test_a_call_that_is_over_does_not_expire() -> None:
    """Whether somebody has it still or not."""
    calls = [made(number) for number in range(3)]
    deadlines = Deadlines()
    for call in calls:
        deadlines.add(call.number, call)
    calls[0].is_done = True
    del calls[1], call
    gc.collect()
    assert deadlines.first == 2
    assert deadlines.take_expired(10) is calls[1]
    assert deadlines.first is None
    assert deadlines.take_expired(10) is None


def test_what_is_over_is_not_kept() -> None:
    """Though the first of all has not ended for long: neither calls nor their numbers."""
    deadlines, first = Deadlines(), made(0)
    call = first
    deadlines.add(1, first)
    for number in range(1, 10_000):
        call = made(number)
        deadlines.add(number, call)
        call.is_done = True
    reference = weakref.ref(call)
    del call
    gc.collect()
    assert reference() is None
    assert len(deadlines._heap) < 200
    assert deadlines.first == 1
