"""What calls of the tests of what a template is told call: a module that imports next to nothing."""

import os
import sys
from collections.abc import Callable

from ramet._workers.in_call import kept_functions

NAME = "RAMET_OF_A_FOLLOWED_CALLER"


def state() -> tuple[str | None, str, list[str], list[str]]:
    """The caller's, as a call finds it."""
    return os.environ.get(NAME), os.getcwd(), sys.argv, sys.path


def names() -> list[str]:
    """Of the variables."""
    return list(os.environ)


def write(word: str) -> None:
    """To standard output."""
    os.write(1, word.encode())


def kept() -> list[str]:
    """Which functions a clone has."""
    return [name for name in vars(kept_functions) if name.startswith("function_")]


def adding(number: int) -> Callable[[int], int]:
    """A function that has no name."""
    return lambda value: value + number
