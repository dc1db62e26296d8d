"""Whether this process, a clone of a template, reads a call: what that imports may begin no other.

Each call that a module begins at its top level would import it again, and so begin another, without end.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_reading = [False]


@contextmanager
def reading() -> Iterator[None]:
    """While a call is read, which imports the modules of its function and of its arguments."""
    before, _reading[0] = _reading[0], True
    try:
        yield
    finally:
        _reading[0] = before


def refuse_within_reading() -> None:
    """Raise RuntimeError where a module that is imported for a call begins one."""
    if not _reading[0]:
        return
    frame = sys._getframe(1)
    while frame.f_code.co_name != "<module>" and frame.f_back is not None:
        frame = frame.f_back
    raise RuntimeError(
        f"invalid call: the module {frame.f_globals.get('__name__')!r} is being imported for a call, and "
        "begins another at its top level, which would import it again, without end; begin it under "
        "if __name__ == '__main__', or in a function"
    )
