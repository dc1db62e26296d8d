"""How the outcome of a function crosses from one memory to another.

The child writes it into a mapping that both share, and ends; the parent reads it there. The mapping
is as large as the machine's memory and takes only the pages that are written, so nothing needs to
be said beforehand about the size of a result, and no descriptor is open that the function could
close. What needs no more (None, a number, a short text) the core writes and reads itself.

A pickle can run anything as whoever loads it. So the parent loads one only of a child that may do
what the parent may; before the child is reaped, it asks the kernel for the child's rights. Anybody
else is read as data. The child may write into the mapping whatever it likes, and may have left
behind a process that goes on doing so: what is read as data is copied, and each number is read once. Of
a trusted child large buffers (numpy arrays, bytearrays in pickle's protocol 5) are used where they lie.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from .. import _core
from .._kernel import credentials
from ..errors import RemoteError, ResultError
from . import result_layout
from .result_layout import NOTHING, RAISED, VALUE

__all__ = [
    "NOTHING",
    "RAISED",
    "VALUE",
    "FailedStep",
    "RemoteTraceback",
    "ResultChannel",
    "prepare",
    "printable",
]

_HOW_TO_TRUST = "a child that is to be believed all the same is made with trusted=True"


class RemoteTraceback(Exception):  # noqa: N818 - it is no error, it shows one
    """Where in the child an exception was raised: the cause of what ``result()`` raises."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


class FailedStep(NamedTuple):
    """Which step of its own setup a child has failed in, before its function."""

    step: int
    errno: int


class ResultChannel(_core.Mapping):
    """A mapping for one outcome: made before the clone call, written by the child, read after.

    trusted: whether the child is, as the caller said; None: by its rights.
    """

    # What is raised when the step of that number has failed with that errno.
    failure: Callable[[int, int], BaseException] | None = None
    # Why it is not, by its rights; empty when it is. None: nobody has looked.
    _doubt: str | None = None

    # ---- in the child

    def put_object(self, value: object) -> int:
        """Write down what the function returned, as it is. Returns the exit code."""
        return result_layout.put_value(memoryview(self), value)

    def put_data_or_object(self, value: object) -> int:
        """The same as data if it is any; else its parent will see whether to load it."""
        why = self._why_no_data(value)
        return result_layout.put_value(memoryview(self), value, why) if why else 0

    def put_data(self, value: object) -> int:
        """The same as data, or not at all."""
        why = self._why_no_data(value)
        if not why:
            return 0
        if self.trusted is None:
            why += "; and the function has entered another namespace"
        return result_layout.put_lost(
            memoryview(self), f"the result cannot be brought over as data: {why}; {_HOW_TO_TRUST}"
        )

    def put_error(self, error: BaseException, fn: object, by_pickle: bool) -> int:
        """Write down what the function raised, and its pickle as well or not. Returns the exit code."""
        failed = getattr(fn, "failed_step", None)
        if isinstance(failed, FailedStep):
            return result_layout.put_failure(memoryview(self), failed.step, failed.errno)
        return result_layout.put_error(memoryview(self), error, by_pickle=by_pickle)

    def _why_no_data(self, value: object) -> str:
        """Empty when it has been written down as data."""
        from . import data_codec

        try:
            text, buffers = data_codec.encoded(value)
            result_layout.write(memoryview(self), result_layout.DATA, text, buffers)
        except Exception as error:
            return (
                str(error)
                if isinstance(error, data_codec.DataError)
                else result_layout.in_words(error)
            )
        return ""

    # ---- in the parent

    def look_at(self, pid: int, pidfd: int, has_our_rights: bool = False) -> None:
        """The child has ended and is still there: find out what it may do, if it matters.

        has_our_rights: the core has asked the kernel already, and found no difference.
        """
        if self.trusted is None and self._doubt is None:
            doubt = "" if has_our_rights else credentials.doubt(pid, None if pidfd < 0 else pidfd)
            if self._doubt is None:  # else another thread was faster, and may have reaped it since
                self._doubt = doubt

    def take(self) -> tuple[int, Any]:
        """(VALUE, the value), (RAISED, the exception) or (NOTHING, None)."""
        if not self.is_here:  # another process has no part in it
            return NOTHING, None
        try:
            return self._taken()
        except Exception as error:  # of what no child of ours writes
            why = printable(result_layout.in_words(error))
            return RAISED, ResultError(f"what the child wrote cannot be read: {why}")

    @property
    def _is_trusted(self) -> bool:
        return self._doubt == "" if self.trusted is None else self.trusted

    def _taken(self) -> tuple[int, Any]:
        value = self.plain()
        if value is not NotImplemented:
            return VALUE, value
        is_trusted = self._is_trusted
        kind, parts = result_layout.read(
            memoryview(self), _whatever if is_trusted else self.has_written
        )
        if kind == VALUE:
            return self._unpickled(*parts) if is_trusted else (RAISED, self._refusal(parts[0]))
        head = bytes(parts[0])
        if kind == result_layout.DATA:
            from . import data_codec

            return VALUE, data_codec.decoded(head, parts[1:])
        if kind == RAISED:
            return RAISED, self._error(head, parts[1:] if is_trusted else None)
        return (NOTHING, None) if kind == NOTHING else (RAISED, self._without_outcome(kind, head))

    def _without_outcome(self, kind: int, head: bytes) -> BaseException:
        if kind == result_layout.LOST:
            return ResultError(printable(head.decode(errors="replace")))
        if kind == result_layout.UNPREPARED and self.failure is not None:
            return self.failure(*result_layout.STEP.unpack(head))
        raise ValueError(f"there is no outcome of kind {kind}")

    def _unpickled(self, _: memoryview, *pickled: memoryview) -> tuple[int, Any]:
        try:
            return VALUE, self._loaded(pickled)
        except Exception as error:
            return RAISED, ResultError(
                f"the result cannot be read: {result_layout.in_words(error)}"
            )

    def _loaded(self, pickled: Any) -> Any:
        import pickle

        data, *buffers = pickled
        if buffers:  # the result goes on lying here, and later children may know it
            self.share_with_others()
        return pickle.loads(data, buffers=buffers)

    def _refusal(self, why_pickled: memoryview) -> ResultError:
        reasons = [self._why_not_trusted(), printable(bytes(why_pickled).decode(errors="replace"))]
        told = "; ".join(filter(None, reasons))
        return ResultError(
            f"the result is a pickle, and may do anything if it is loaded: {told}; {_HOW_TO_TRUST}"
        )

    def _why_not_trusted(self) -> str:
        if self.trusted is False:
            return "the child is not trusted"
        doubt = self._doubt or "it was reaped before anybody could ask what it may do"
        return f"the child is less trusted than its caller ({doubt})"

    def _error(self, head: bytes, pickled: list[memoryview] | None) -> BaseException:
        """pickled: the exception itself; empty when it would not go into a pickle, None: not asked."""
        name, message, text = _three_texts(head)
        why = "" if pickled is None else "it cannot be brought over itself"
        if pickled:
            try:
                error: BaseException = self._loaded(pickled)
                error.__cause__ = RemoteTraceback(text)
            except Exception as unreadable:
                why = f"it cannot be read itself: {result_layout.in_words(unreadable)}"
            else:
                return error
        error = RemoteError(printable(name), printable(message), why)
        error.__cause__ = RemoteTraceback(printable(text))
        return error


def prepare() -> bool:
    """Before the clone call: import what a child may need, which may have no right to read a file any more.

    A traceback reads lines of source by tokenize, which some Pythons import when it comes to that.
    Returns whether all is there: if no file can be read, what needs no pickle still comes over.
    """
    try:
        import pickle  # noqa: F401
        import pkgutil  # noqa: F401
        import resource  # noqa: F401
        import tokenize  # noqa: F401
        import traceback  # noqa: F401

        from . import data_codec  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def printable(text: str) -> str:
    """The text, which somebody else wrote, without what a terminal would obey."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else ascii(letter)[1:-1]
        for letter in text
    )


def _three_texts(head: bytes) -> list[str]:
    import json

    name, message, text = json.loads(head)
    if {type(name), type(message), type(text)} != {str}:
        raise ValueError("an exception is told in three texts")
    return [name, message, text]


def _whatever(_: int) -> bool:
    return True
