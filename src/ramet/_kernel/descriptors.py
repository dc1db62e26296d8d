"""Descriptors that are open for as long as an object needs them."""

import os
import threading
from collections.abc import Callable
from typing import Any


class Descriptors:
    """Descriptors of the process that made this, open until they are closed or this is given up."""

    _maker = 0  # until it is made

    def __init__(self) -> None:
        self._open: list[int] = []
        self._maker = os.getpid()
        _close_given_up()

    def open(self, opener: Callable[..., int], *arguments: Any) -> int:
        """Open one, and have it from the same moment: no handler of a signal comes between."""
        self._open.extend(map(opener, *([argument] for argument in arguments)))
        return self._open[-1]

    def close(self) -> None:
        """Nobody needs them any more. In another process than its maker's it waits for the maker."""
        _close(self._maker, self._open)

    def __del__(self) -> None:
        if self._maker:
            self.close()


# A child in shared memory may be the last to have one, where the numbers mean something else.
_given_up: list[tuple[int, list[int]]] = []


def _close(maker: int, numbers: list[int]) -> None:
    if maker == os.getpid():
        while numbers:
            os.close(numbers.pop())
    elif numbers and maker == threading.main_thread().native_id:  # others' tables end with them
        _given_up.append((maker, numbers))


def _close_given_up() -> None:
    """What of this process others have given up; each entry is taken by one task alone."""
    for _ in range(len(_given_up)):
        try:
            maker, numbers = _given_up.pop(0)
        except IndexError:
            return
        _close(maker, numbers)
