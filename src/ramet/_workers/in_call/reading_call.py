"""Whether a template imports here, or a clone of one reads a call: what that imports begins no other.

A call of a module's own function, begun at its top level, imports it again, and so begins another. So does
a template that is made there and loads that module.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

from ..._core import note_reading

if TYPE_CHECKING:
    from types import FrameType


@contextmanager
def reading() -> Iterator[None]:
    """While a call is read, which imports the modules of its function and of its arguments.

    Or while a template imports what it is to preload, and the modules of its functions.
    """
    before = note_reading(True)
    try:
        yield
    finally:
        note_reading(before)


def refuse_while_imported(fn: Callable[..., object]) -> None:
    """Raise RuntimeError where a module that is imported for a call begins one of a function of its own."""
    module = _module_of(fn)
    if module in _imported_above():
        raise RuntimeError(
            f"invalid call: the module {module!r} is being imported for a call, and begins another at its "
            "top level, which would import it again, without end; begin it under "
            "if __name__ == '__main__', or in a function"
        )


def refuse_template_while_imported(
    preload: Iterable[str], functions: Iterable[Callable[..., object] | None]
) -> None:
    """Raise RuntimeError where a module that is imported for a template starts one that imports it, too."""
    names = [*preload, *(_module_of(fn) or "" for fn in functions)]
    needed = {above for name in names for above in accumulate(name.split("."), "{}.{}".format)}
    for module in _imported_above():
        if module in needed:
            raise RuntimeError(
                f"invalid template: the module {module!r} is being imported for one, and makes another at "
                "its top level, which would import it again, without end; make it under "
                "if __name__ == '__main__', or in a function"
            )


def _module_of(fn: object) -> str | None:
    """Which is imported where a function is sent to."""
    while isinstance(fn, partial):
        fn = fn.func
    return getattr(fn, "__module__", None)


def _imported_above() -> Iterator[str | None]:
    """The modules whose code calls this."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            yield frame.f_globals.get("__name__")
        frame = frame.f_back
