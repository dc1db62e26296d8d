"""What a flush of the standard streams raises, before a copy is made and at the end of one."""

import signal
from types import FunctionType, MethodType, TracebackType
from typing import Any


def is_the_streams(error: BaseException, stream: object) -> bool:
    """Whether the stream itself failed, as one does that is broken, closed or missing, which is passed by.

    A handler of a signal that came meanwhile may have raised an exception of the same class (a
    TimeoutError is an OSError): it ran code of Python, which the streams of io do not.
    """
    codes = _codes_in(error.__traceback__)
    if not codes:
        return True
    flush = getattr(type(stream), "flush", None)
    if type(flush) is not FunctionType and "flush" not in getattr(stream, "__dict__", {}):
        return False
    return not codes & _codes_of_handlers()


def _codes_in(traceback: TracebackType | None) -> "set[int]":
    codes = set()
    while traceback is not None:
        codes.add(id(traceback.tb_frame.f_code))
        traceback = traceback.tb_next
    return codes


def _codes_of_handlers() -> "set[int]":
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    return {id(_code_of(handler)) for handler in handlers if callable(handler)}


def _code_of(handler: Any) -> object:
    function = handler if isinstance(handler, FunctionType | MethodType) else type(handler).__call__
    return getattr(function, "__code__", None)
