"""Which functions by value a template's process keeps, for calls to name: in_call/kept_functions.py."""

import itertools
from collections import OrderedDict
from typing import Any

from ..._core import plain_bytes
from ..crossing.pickling import CallByValue
from ..in_call import kept_functions
from .telling import is_time

_MOST_COUNTED = 16
_MOST_KEPT = 64  # for as long as the process is there


class KeptFunctions:
    """Of one process: the names of functions, by their pickles."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}
        self._calls: OrderedDict[bytes, int] = OrderedDict()
        self._numbers = itertools.count()

    def is_due(self, call: CallByValue) -> bool:
        """To be asked at each call: whether to have its function kept now."""
        calls = self._calls.pop(call.function, 0) + 1
        self._calls[call.function] = calls
        if len(self._calls) > _MOST_COUNTED:
            self._calls.popitem(last=False)
        may_be = call.function not in self._names and len(self._names) < _MOST_KEPT
        return may_be and is_time(calls)

    def next_name(self) -> str:
        """One that no function has had."""
        return f"function_{next(self._numbers)}"

    def is_kept(self, call: CallByValue, name: str) -> None:
        """All clones that are made from here on have its function by that name."""
        self._names[call.function] = name

    def named(self, call: tuple[Any, ...]) -> tuple[Any, ...]:
        """The call by the name of its function, if that is kept; else as it is."""
        if not isinstance(call, CallByValue) or call.function not in self._names:
            return call
        name = self._names[call.function]
        plain = plain_bytes((kept_functions.__name__, name, call.args, call.keywords))
        return call if plain is None else (plain,)
