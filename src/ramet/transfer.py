"""How the outcome of a function crosses from one memory to another.

The child writes it into a mapping that both share, and ends; the parent reads it there. The mapping
is as large as the machine's memory and takes only the pages that are written, so nothing needs to
be said beforehand about the size of a result, and no descriptor is open that the function could
close. Large buffers (numpy arrays, bytearrays in pickle's protocol 5) are written once by the child
and used where they lie by the parent. What needs no pickle (None, a number, a short text) the core
writes and reads itself.
"""

from collections.abc import Callable
from typing import Any

from . import _core
from .errors import ResultError
from .parcel import LOST, NOTHING, PLAIN, RAISED, UNPREPARED, VALUE, in_words, read

__all__ = ["NOTHING", "RAISED", "VALUE", "RemoteTraceback", "Transfer", "prepare"]


class RemoteTraceback(Exception):  # noqa: N818 - it is no error, it shows one
    """Where in the child an exception was raised: the cause of what ``result()`` raises."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


class Transfer(_core.Mapping):
    """A mapping for one outcome: made before the birth, written by the child, read after."""

    # What is raised when the step of that number has failed with that errno.
    failure: Callable[[int, int], BaseException] | None = None

    def take(self) -> tuple[int, Any]:
        """In the parent: (VALUE, the value), (RAISED, the exception) or (NOTHING, None)."""
        if not self.is_here:  # another process has no part in it
            return NOTHING, None
        kind, parts = read(memoryview(self))
        if kind == NOTHING:
            return NOTHING, None
        if kind == PLAIN:
            import marshal

            return VALUE, marshal.loads(parts[0])
        if len(parts) > 1:  # the result goes on lying here, and later children may know it
            self.share_with_others()
        if kind == LOST:
            return RAISED, ResultError(bytes(parts[0]).decode(errors="replace"))
        import pickle

        try:
            outcome = pickle.loads(parts[0], buffers=parts[1:])
        except Exception as error:
            what = "result" if kind == VALUE else "exception"
            return RAISED, ResultError(f"the {what} cannot be read: {in_words(error)}")
        return (VALUE, outcome) if kind == VALUE else (RAISED, self._raised(kind, outcome))

    def _raised(self, kind: int, outcome: tuple[Any, Any]) -> BaseException:
        if kind == UNPREPARED and self.failure is not None:
            return self.failure(*outcome)
        error: BaseException
        error, text = outcome
        error.__cause__ = RemoteTraceback(text)
        return error


def prepare() -> bool:
    """Before the birth: import what a child may need, which may have no right to read a file any more.

    A traceback reads lines of source by tokenize, which some Pythons import when it comes to that.
    Returns whether all is there: if no file can be read, what needs no pickle still comes over.
    """
    try:
        import pickle  # noqa: F401
        import tokenize  # noqa: F401
        import traceback  # noqa: F401
    except (ImportError, OSError):
        return False
    return True
