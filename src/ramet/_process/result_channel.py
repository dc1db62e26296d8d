"""How the outcome of a function gets from the child's memory to the parent's.

The child writes it into a mapping that both share, and ends; the parent reads it there. The mapping
is as large as the machine's memory and uses only the pages that are written: so the size of a result
need not be known beforehand, and there is no descriptor that the function could close. A plain
value, such as a number or a short text, is written and read by the core.

Loading a pickle can run any code with the rights of the process that loads it. So the parent loads only
the pickle of a child that has the parent's rights, which it compares before it reaps the child. The result
of any other child is read as data. A child may write anything into the mapping, and may leave a process
behind that goes on writing: so data is copied, and each number is read once. Large buffers of a trusted
child (numpy arrays, bytearrays in pickle's protocol 5) are used in place, without a copy.
"""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import _core
from .._kernel import credentials
from .._kernel.signal_handlers import is_from_handler
from ..errors import ResultError, SpawnError, untrusted
from . import result_layout
from .remote_error import RemoteTraceback, printable, remote_error
from .result_layout import NOTHING, RAISED, VALUE

__all__ = [
    "NOTHING",
    "RAISED",
    "VALUE",
    "FailedStep",
    "ResultChannel",
    "is_of_loading",
    "prepare",
]

_HOW_TO_TRUST = "to trust this child all the same, make it with trusted=True"


class FailedStep(NamedTuple):
    """The step of its setup in which a child failed, before its function."""

    step: int
    errno: int


class ResultChannel(_core.Mapping):
    """A mapping for one outcome: made before the clone call, written by the child, read after.

    trusted: whether the caller trusts the child; None: decided by the child's rights.
    """

    # Makes the exception for a failed step, from its number and errno.
    failure: Callable[[int, int], SpawnError] | None = None
    # Why the child's rights make it less trusted; empty when they do not, None until they are compared.
    _doubt: str | None = None

    # ---- in the child

    def put_object(self, value: object) -> int:
        """Write what the function returned, as a pickle. Returns the exit code."""
        return result_layout.put_value(memoryview(self), value)

    def put_data_or_object(self, value: object) -> int:
        """Write it as data if it can be; else as a pickle, and the parent decides whether to load it."""
        why = self._why_no_data(value)
        return result_layout.put_value(memoryview(self), value, why) if why else 0

    def put_data(self, value: object) -> int:
        """Write it as data, or that it cannot be. Returns the exit code."""
        why = self._why_no_data(value)
        if not why:
            return 0
        if self.trusted is None:
            why += "; the function has entered another namespace"
        return result_layout.put_lost(
            memoryview(self), f"the result cannot be sent as data: {why}; {_HOW_TO_TRUST}"
        )

    def put_error(self, error: BaseException, fn: object, by_pickle: bool) -> int:
        """Write what the function raised, with its pickle if by_pickle. Returns the exit code."""
        failed = getattr(fn, "failed_step", None)
        if isinstance(failed, FailedStep):
            return result_layout.put_failure(memoryview(self), failed.step, failed.errno)
        return result_layout.put_error(memoryview(self), error, by_pickle=by_pickle)

    def _why_no_data(self, value: object) -> str:
        """Write it as data. Returns why that is not possible, empty when it was written."""
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

    def compare_rights(self, pid: int, pidfd: int, has_our_rights: bool = False) -> None:
        """Compare the child's rights with ours, if that decides: it has ended and is not reaped yet.

        has_our_rights: the core has compared them already, and found no difference.
        """
        if self.trusted is None and self._doubt is None:
            doubt = "" if has_our_rights else credentials.doubt(pid, None if pidfd < 0 else pidfd)
            if self._doubt is None:  # else another thread was faster, and may have reaped the child
                self._doubt = doubt

    def take(self) -> tuple[int, Any]:
        """(VALUE, the value), (RAISED, the exception) or (NOTHING, None)."""
        if not self.is_here:  # only the process that made the mapping reads it
            return NOTHING, None
        try:
            return self._taken()
        except Exception as error:  # the child has overwritten it
            if is_from_handler(error):
                raise
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
            memoryview(self), _is_any_length if is_trusted else self.has_written
        )
        if kind == VALUE:
            return self._unpickled(*parts) if is_trusted else (RAISED, self._refusal(parts[0]))
        if kind == result_layout.DATA:
            from . import data_codec

            return VALUE, data_codec.decoded(parts[0], parts[1:])
        if kind == RAISED:
            return RAISED, self._error(parts[0], parts[1:] if is_trusted else None)
        if kind == NOTHING:
            return NOTHING, None
        return RAISED, self._without_outcome(kind, parts[0])

    def _without_outcome(self, kind: int, head: memoryview) -> BaseException:
        if kind == result_layout.LOST:
            return ResultError(_told(head))
        if kind == result_layout.UNPREPARED and self.failure is not None:
            error = self.failure(*result_layout.STEP.unpack(head))
            return error if self._is_trusted else untrusted(error)
        raise ValueError(f"invalid kind of outcome: {kind}")

    def _unpickled(self, _: memoryview, *pickled: memoryview) -> tuple[int, Any]:
        try:
            return VALUE, self._loaded(pickled)
        except BaseException as error:
            if not is_of_loading(error):
                raise
            return RAISED, ResultError(
                f"the result cannot be read: {result_layout.in_words(error)}"
            )

    def _loaded(self, pickled: Any) -> Any:
        import pickle

        data, *buffers = pickled
        if buffers:  # the result stays in this mapping, which later children may then have, too
            self.share_with_others()
        return pickle.loads(data, buffers=buffers)

    def _refusal(self, why_pickled: memoryview) -> ResultError:
        reasons = [self._why_not_trusted(), _told(why_pickled)]
        told = "; ".join(filter(None, reasons))
        return ResultError(
            f"the result is a pickle, which may run any code when it is loaded: {told}; {_HOW_TO_TRUST}"
        )

    def _why_not_trusted(self) -> str:
        if self.trusted is False:
            return "the child was made with trusted=False"
        doubt = self._doubt or "it was reaped before its rights could be read"
        return f"the child is less trusted than its caller ({doubt})"

    def _error(self, head: memoryview, pickled: list[memoryview] | None) -> BaseException:
        """pickled: the exception itself; empty when it could not be pickled, None: not to be loaded."""
        from .data_codec import texts_of

        texts = texts_of(head, 3)
        why = "" if pickled is None else "the exception itself cannot be pickled"
        if pickled:
            try:
                error: BaseException = self._loaded(pickled)
                error.__cause__ = RemoteTraceback(texts[-1])
            except BaseException as unreadable:
                if not is_of_loading(unreadable):
                    raise
                why = result_layout.why_exception_not_read(unreadable)
            else:
                return error
        return remote_error(texts, why)


def prepare() -> bool:
    """Before the clone call: import what a child may need when it may not read files any more.

    A traceback reads source lines by tokenize, which some Python versions import only then.
    Returns whether all was imported; without it, what the core writes itself can still be sent.
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


def _told(words: memoryview) -> str:
    """What the child says, as far as it is read."""
    return printable(bytes(words[: result_layout.MOST_LETTERS]).decode(errors="replace"))


def is_of_loading(error: BaseException) -> bool:
    """Whether code that a pickle runs has raised it, as far as can be told.

    In the main thread it may be of a signal handler that came meanwhile, such as KeyboardInterrupt's.
    """
    if threading.current_thread() is not threading.main_thread():
        return True
    return isinstance(error, Exception | SystemExit) and not is_from_handler(error)


def _is_any_length(_: int) -> bool:
    return True
