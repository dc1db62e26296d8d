"""Descriptors that an object owns and closes, and the standard ones."""

import fcntl
import os
import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any


class Descriptors:
    """Descriptors in the table of the process that made this object, closed with it."""

    _maker = 0  # the class attribute is seen by __del__ when __init__ did not run

    def __init__(self) -> None:
        self._open: list[int] = []
        self._maker = os.getpid()
        _close_left_by_others()

    def open(self, opener: Callable[..., int], *arguments: Any) -> int:
        """Open one and own it in one step, so that no signal handler runs between the two."""
        self._open.extend(map(opener, *([argument] for argument in arguments)))
        return self._open[-1]

    def __iter__(self) -> Iterator[int]:
        return iter(tuple(self._open))

    def close(self) -> None:
        """Close them; called in another process, it leaves that to the one that opened them."""
        _close(self._maker, self._open)

    def __del__(self) -> None:
        if self._maker:
            self.close()


STANDARD = (0, 1, 2)


def is_standard(number: int) -> bool:
    """Whether a program that this process starts would be given that standard descriptor.

    One that is closed on exec got its number by chance, since the standard one was closed before.
    Source: fcntl(2) F_GETFD.
    """
    try:
        return not fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    except OSError:
        return False


def above_standard(descriptor: int) -> int:
    """The same file, which is not where a standard one was closed: there, others write to it."""
    if descriptor > STANDARD[-1]:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, STANDARD[-1] + 1)
    finally:
        os.close(descriptor)


def fill_standard() -> None:
    """Let those that are closed be /dev/null, for this process and the programs that it starts."""
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            # The lowest that is free.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


# A child in shared memory may drop the last reference: in its table the numbers mean other files.
_left_by_others: list[tuple[int, list[int]]] = []


def _close(maker: int, numbers: list[int]) -> None:
    if maker == os.getpid():
        while numbers:
            os.close(numbers.pop())
    elif numbers and maker == threading.main_thread().native_id:
        # Any other maker's table ends with it.
        _left_by_others.append((maker, numbers))


def _close_left_by_others() -> None:
    """Close this process's descriptors of such objects; each entry is taken by one task alone."""
    for _ in range(len(_left_by_others)):
        try:
            maker, numbers = _left_by_others.pop(0)
        except IndexError:
            return
        _close(maker, numbers)


def copied_beside(descriptor: int, numbers: Collection[int]) -> int:
    """A copy whose number is none of these, and none of the standard ones."""
    copies = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, STANDARD[-1] + 1)]
    while copies[-1] in numbers:
        copies.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, copies[-1] + 1))
    *others, copy = copies
    for other in others:
        os.close(other)
    return copy
