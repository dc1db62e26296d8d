"""Errors of flushing the standard streams, before a copy of the process is made and at its end."""

import signal
from types import FunctionType, MethodType, TracebackType
from typing import Any


def stream_failed(error: BaseException, stream: object) -> bool:
    """Whether the stream itself raised it, being broken, closed or missing: then it is ignored.

    A signal handler that ran meanwhile may have raised an exception of the same class (TimeoutError is an
    OSError). It ran Python code, which the streams of io do not.
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
