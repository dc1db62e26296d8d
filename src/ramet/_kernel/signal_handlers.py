"""Exceptions of the caller's signal handlers, which may come out of any line of Python."""

import _signal  # type: ignore[import-not-found] # module signal makes an enum of each
from types import FrameType, TracebackType

__all__ = ["is_from_handler", "is_ours"]

_LIBRARY = __name__.partition(".")[0]


def is_from_handler(error: BaseException) -> bool:
    """Whether a signal handler, a function in Python, has raised it.

    It says nothing of what was being done then, whatever its type: handlers raise TimeoutError as well,
    which is an OSError.
    """
    others = [frame for frame in _frames(error.__traceback__) if not is_ours(frame)]
    return any(map(_has_what_it_interrupted, others)) or any(map(_is_handlers, others))


def _frames(entry: TracebackType | None) -> list[FrameType]:
    """A list: what a handler raises as an unfinished generator is ended would be lost."""
    found = []
    while entry is not None:
        found.append(entry.tb_frame)
        entry = entry.tb_next
    return found


def is_ours(frame: FrameType) -> bool:
    """Whether the frame is of a function of this library."""
    return package_of(frame) == _LIBRARY


def package_of(frame: FrameType) -> str:
    """The name of the package whose function it is of, without what is below that."""
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def _has_what_it_interrupted(frame: FrameType) -> bool:
    """A handler is given the frame that it interrupted, which calls it; it may be installed no more."""
    interrupted = frame.f_back
    for value in frame.f_locals.values():
        given = value if type(value) is tuple else (value,)
        if interrupted is not None and any(each is interrupted for each in given):
            return True
    return False


def _is_handlers(frame: FrameType) -> bool:
    """The same for one that has deleted its arguments."""
    handlers = map(_signal.getsignal, range(1, _signal.NSIG))
    return any(getattr(handler, "__code__", None) is frame.f_code for handler in handlers)
