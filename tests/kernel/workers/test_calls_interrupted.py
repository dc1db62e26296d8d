"""An exception of a signal handler while a call is asked for costs that call alone."""

import gc
import itertools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import ramet
from ramet._workers import called_child, link

# What asks the template, and stands for what it has made; each by its code.
ASKING = frozenset(
    one.__code__
    for one in (
        link.Link._answered,
        link.Link._ask,
        link.Link._read,
        link._take_over,
        link.Link._correct,
        link.Link.ask_for_spare,
        link.Link.clone,
        link.Link.spare,
        link.Link.__dict__["_spares_asked"],
        called_child.CalledChild.connect,
    )
)
SECONDS = 10


class Heard(BaseException):
    """What the handler raises."""


def raising_at(step: int) -> Callable[[FrameType, str, Any], Any]:
    """Raises at the so manyth line of what asks."""
    left = step

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code not in ASKING:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Heard
        return trace

    return trace


def interrupted(template: ramet.Template, step: int) -> bool:
    """Whether a call was interrupted at that line; it has fewer else."""
    before = sys.gettrace()
    sys.settrace(raising_at(step))
    try:
        with template.clone(abs, -1) as child:
            assert child.result(SECONDS) == 1
    except Heard:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("spares", [0, 1])
@pytest.mark.usefixtures("nothing_left")
def test_the_next_call_does_not_wait_for_an_answer_that_never_comes(spares: int) -> None:
    """Wherever the call before was interrupted: before its request was sent, or after."""
    with ramet.Template(spares=spares) as template:
        for step in itertools.count(1):
            was_interrupted = interrupted(template, step)
            with template.clone(abs, -2) as child:
                assert child.result(SECONDS) == 2
            if not was_interrupted:
                break
        assert step > 10
    gc.collect()
