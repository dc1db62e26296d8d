"""Whether this process, a clone of a template, reads a call: what that imports may begin no other.

A call of a module's own function, begun at its top level, imports it again, and so begins another.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from ..._core import note_reading

if TYPE_CHECKING:
    from types import FrameType


@contextmanager
def reading() -> Iterator[None]:
    """While a call is read, which imports the modules of its function and of its arguments."""
    before = note_reading(True)
    try:
        yield
    finally:
        note_reading(before)


def refuse_while_imported(fn: Callable[..., object]) -> None:
    """Raise RuntimeError where a module that is imported for a call begins one of a function of its own."""
    while isinstance(fn, partial):
        fn = fn.func
    module = getattr(fn, "__module__", None)
    if module in _imported_above():
        raise RuntimeError(
            f"invalid call: the module {module!r} is being imported for a call, and begins another at its "
            "top level, which would import it again, without end; begin it under "
            "if __name__ == '__main__', or in a function"
        )


def _imported_above() -> Iterator[str | None]:
    """The modules whose code calls this."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            yield frame.f_globals.get("__name__")
        frame = frame.f_back
