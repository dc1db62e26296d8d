"""Exceptions of the caller's signal handlers, which may come out of any line of Python."""

import signal
from collections.abc import Iterator
from types import FrameType, TracebackType

__all__ = ["is_from_handler"]


def is_from_handler(error: BaseException) -> bool:
    """Whether a signal handler, a function in Python, has raised it.

    It says nothing of what was being read then, whatever its type: handlers raise TimeoutError as well.
    """
    handlers = {getattr(signal.getsignal(n), "__code__", None) for n in signal.valid_signals()}
    return any(
        frame.f_code in handlers or _has_what_it_interrupted(frame)
        for frame in _frames(error.__traceback__)
    )


def _frames(entry: TracebackType | None) -> Iterator[FrameType]:
    while entry is not None:
        yield entry.tb_frame
        entry = entry.tb_next


def _has_what_it_interrupted(frame: FrameType) -> bool:
    """A handler is given the frame that it interrupted, which calls it; it may be installed no more."""
    interrupted = frame.f_back
    for value in frame.f_locals.values():
        given = value if type(value) is tuple else (value,)
        if interrupted is not None and any(each is interrupted for each in given):
            return True
    return False
