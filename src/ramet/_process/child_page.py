"""What a notebook shows of a child, which is not waited for and not reaped for it."""

import reprlib
import shlex
from typing import Any

from ..flags import SIGNAL_BITS, CloneFlag
from ..law.notebook import table

_MOST_LETTERS = 200


def page(pid: int, state: str, flags: CloneFlag, what: object) -> str:
    """A table: how it is, what it runs, and what its flags are about; HTML."""
    rows = [("state", state)]
    if what is not None:
        rows.append(("runs", _in_words(what)))
    known = CloneFlag(flags & ~SIGNAL_BITS)  # to go through it leaves out the bits of newer kernels
    rows += [(str(flag), flag.facts.shared_when_set) for flag in known]
    if signal := CloneFlag(flags & SIGNAL_BITS):
        rows.append((str(signal), "its end sends this signal"))
    return table(f"Child {pid}" if pid else "Child, not made", rows)


def _in_words(what: Any) -> str:
    """A program as a shell would have it, a function by its name; a long one is cut."""
    try:
        words = shlex.join(map(str, what)) if isinstance(what, list) else _name_of(what)
    except Exception:  # the words come from objects of the user
        return "?"
    return words if len(words) <= _MOST_LETTERS else f"{words[:_MOST_LETTERS]}..."


def _name_of(what: Any) -> str:
    return str(getattr(what, "__qualname__", None) or reprlib.repr(what))
