"""What came of a call, as a message: written by the child, read by its caller.

As for every child with a memory of its own, a pickle is loaded only if its writer has the caller's
rights. The outcome of any other child is read as data, which can run no code.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from ... import _core
from ..._kernel import credentials
from ..._kernel.signal_handlers import is_from_handler
from ..._process import data_codec
from ..._process.remote_error import RemoteTraceback, printable, remote_error
from ..._process.result_channel import is_of_loading
from ..._process.result_layout import (
    DATA,
    LOST,
    MOST_LETTERS,
    PLAIN,
    RAISED,
    TRACED,
    UNPREPARED,
    VALUE,
    described,
    in_words,
    name_and_message,
    shortened,
    why_exception_not_read,
    why_not_sent,
)
from ..._process.traceback_parts import frames_of, text_of
from ..._setup.step_reasons import likely_reason
from ...errors import ResultError, SpawnError, spawn_error, untrusted
from .messages import Channel, Message, send
from .pickling import loaded, pickled

__all__ = ["Reader", "put_error", "put_lost", "put_unprepared", "put_value", "reader", "rights"]

_NOTE_LETTERS = 100  # of what is said where something is left out


class _Rights:
    """What this process, a template or its clone, knows of its caller's trust in it.

    trusted: of the template; as for clone(), and what a call says comes before None only.
    """

    callers = 0  # _core.credentials_now() of the caller
    trusted: bool | None = None

    def are_the_callers(self) -> bool:
        return self.callers == _core.credentials_now()

    def trusted_with(self, call: bool | None) -> bool | None:
        """Whether the caller trusts a call that says so."""
        return call if self.trusted is None else self.trusted


rights = _Rights()

_HOW_TO_TRUST = "; to trust this child all the same, make it with trusted=True"

# ---- in the child


def put_value(channel: Channel, value: object, trusted: bool | None) -> int:
    """Send what the function returned. Returns the exit code."""
    if channel.send_plain(PLAIN, value):
        return 0
    trusted = rights.trusted_with(trusted)
    if trusted is False or (trusted is None and not rights.are_the_callers()):
        try:
            return _put_data(channel, value)
        except data_codec.DataError as error:
            if trusted is False:
                return put_lost(
                    channel, f"the result cannot be sent as data: {error}{_how_to_trust()}"
                )
    try:
        parts = pickled(value)
    except BaseException as error:  # whatever a __reduce__ raises
        return put_lost(channel, why_not_sent(value, error))
    return _put(channel, VALUE, parts)


def put_pickled(channel: Channel, parts: tuple[Any, ...]) -> int:
    """Send what the core has pickled, and is too long for it. Returns the exit code."""
    return _put(channel, VALUE, parts)


def _how_to_trust() -> str:
    """Where it is the template that is not trusted, no call can be."""
    return _HOW_TO_TRUST if rights.trusted is None else ""


def _put_data(channel: Channel, value: object) -> int:
    text, buffers = data_codec.encoded(value)
    return _put(channel, DATA, (text, *buffers))


def _put(channel: Channel, kind: int, parts: tuple[Any, ...]) -> int:
    try:
        send(channel, kind, parts)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except (OSError, MemoryError) as error:  # there is no memory for a file of that size
        size = sum(memoryview(part).nbytes for part in parts)
        why = f"the outcome cannot be sent to the caller: {size} bytes: {in_words(error)}"
        return put_lost(channel, why)
    return 0


def put_error(channel: Channel, error: BaseException, trusted: bool | None) -> int:
    """Send what the function raised. Returns the exit code."""
    trusted = rights.trusted_with(trusted)
    if trusted or (trusted is None and rights.are_the_callers()):
        traced = _traced(error)
        if traced:
            _put(channel, TRACED, traced)
            return 1
    _, head = described(error)
    parts: tuple[Any, ...] = ()
    if trusted is not False:
        try:
            parts = pickled(error.with_traceback(None))
        except BaseException:
            parts = ()  # the texts are sent without it
    _put(channel, RAISED, (head, *parts))
    return 1


def _traced(error: BaseException) -> tuple[Any, ...]:
    """The parts of TRACED; none where a text tells more, or the exception cannot be pickled."""
    frames, traceback = frames_of(error), error.__traceback__
    notes = getattr(error, "__notes__", None)
    told = (*name_and_message(error), tuple(notes) if isinstance(notes, list) else (), frames)
    head = None if frames is None else _core.plain_bytes(told)
    if head is None:
        return ()
    try:
        return (head, *pickled(error.with_traceback(None)))
    except BaseException:
        error.__traceback__ = traceback
        return ()


def put_lost(channel: Channel, why: str) -> int:
    """Send why there is no outcome. Returns the exit code."""
    send(channel, LOST, (why.encode(errors="backslashreplace"),))
    return 1


def put_unprepared(channel: Channel, label: str, number: int, file: str | None) -> int:
    """Send which step of the child's setup failed. Returns the exit code."""
    send(channel, UNPREPARED, (json.dumps([label, number, file]).encode(),))
    return 1


# ---- in the caller


class Reader:
    """Reads the outcome of one child.

    trusted: as for clone(). in_any_pid_namespace: the template gave the child one of its own.
    by_template: it is the template, and so all that it makes, that is not trusted. most_bytes: of memory
    that a result may take that is data.
    """

    def __init__(
        self,
        trusted: bool | None,
        in_any_pid_namespace: bool,
        *,
        by_template: bool = False,
        most_bytes: int = data_codec.MOST_BYTES,
    ) -> None:
        self._trusted = trusted
        self._in_any_pid_namespace = in_any_pid_namespace
        self._by_template = by_template
        self._most_bytes = most_bytes
        self.is_of_untrusted = trusted is False  # which is said, and need not be asked
        self.most_bytes = most_bytes if self.is_of_untrusted else None  # of a message; None: any

    def read(self, message: Message, pid: int, pidfd: int | None) -> tuple[bool, Any]:
        """(False, the value) or (True, the exception); the child has not been reaped yet."""
        kind, parts, _ = message
        try:
            if kind == PLAIN:
                return False, _core.plain_value(parts[0])
            return self._read(kind, parts, lambda: self._doubt(pid, pidfd))
        except Exception as error:  # the child may send anything
            if is_from_handler(error):
                raise
            why = printable(in_words(error))
            return True, ResultError(f"what the child wrote cannot be read: {why}")

    def _read(self, kind: int, parts: Sequence[Any], doubt: Callable[[], str]) -> tuple[bool, Any]:
        if kind == DATA:
            return False, data_codec.decoded(parts[0], parts[1:], self._most_bytes)
        read = _READERS.get(kind)
        if read is None:
            raise ValueError(f"invalid kind of outcome: {kind}")
        return read(self, parts, doubt)

    def _doubt(self, pid: int, pidfd: int | None) -> str:
        """Why the child is not trusted; empty when it is."""
        if self._by_template:
            return "its template is not trusted"
        if self._trusted is not None:
            return "" if self._trusted else "the child was made with trusted=False"
        anywhere = self._in_any_pid_namespace
        if _core.has_our_rights(pid, -1 if pidfd is None else pidfd, anywhere):
            return ""
        why = credentials.doubt(pid, pidfd, in_any_pid_namespace=anywhere)
        return why and f"the child is less trusted than its caller ({why})"

    def _value(self, parts: Sequence[Any], doubt: Callable[[], str]) -> tuple[bool, Any]:
        why = doubt()
        if why:
            how = "" if self._by_template else _HOW_TO_TRUST
            return True, ResultError(
                f"the result is a pickle, which may run any code when it is loaded: {why}{how}"
            )
        try:
            return False, loaded(parts)
        except BaseException as error:
            if not is_of_loading(error):
                raise
            return True, ResultError(f"the result cannot be read: {in_words(error)}")

    def _raised(self, parts: Sequence[Any], doubt: Callable[[], str]) -> tuple[bool, Any]:
        texts = list(map(_as_short, data_codec.texts_of(parts[0], 3)))
        error, why = self._exception(parts[1:], doubt)
        if error is None:
            return True, remote_error(texts, why)
        with suppress(Exception):  # a frozen dataclass has no room for it
            error.__cause__ = RemoteTraceback(texts[-1])
        return True, error

    def _traced(self, parts: Sequence[Any], doubt: Callable[[], str]) -> tuple[bool, Any]:
        name, message, notes, frames = _core.plain_value(parts[0])
        error, why = self._exception(parts[1:], doubt)
        if error is None:
            last_lines = "\n".join([f"{name}: {message}" if message else name, *notes, ""])
            text = text_of(frames, last_lines, with_source=not doubt())
            return True, remote_error([name, message, text], why)
        shown = RemoteTraceback(in_words(error) + "\n", frames)
        with suppress(Exception):
            error.__cause__ = shown
        return True, error

    def _exception(
        self, pickle: Sequence[Any], doubt: Callable[[], str]
    ) -> tuple[BaseException | None, str]:
        """The exception itself, or why it is not there."""
        if not pickle:
            # One that is not trusted sends the texts alone, whatever its exception.
            untrusted = self._by_template or self.is_of_untrusted
            return None, "" if untrusted else "the exception itself cannot be pickled"
        if why := doubt():
            return None, why
        try:
            return loaded(pickle), ""
        except BaseException as unreadable:
            if not is_of_loading(unreadable):
                raise
            return None, why_exception_not_read(unreadable)

    def _lost(self, parts: Sequence[Any], _: object) -> tuple[bool, Any]:
        words = bytes(memoryview(parts[0])[:MOST_LETTERS])
        return True, ResultError(printable(words.decode(errors="replace")))

    def _unprepared(self, parts: Sequence[Any], doubt: Callable[[], str]) -> tuple[bool, Any]:
        label, number, file = data_codec.loaded_json(parts[0])
        if type(label) is not str or type(number) is not int or type(file) not in {str, type(None)}:
            raise ValueError("expected a step, its errno and a file")
        error = failed_step(
            printable(_as_short(label)), number, file and printable(_as_short(file))
        )
        return True, untrusted(error) if doubt() else error


def _as_short(text: str) -> str:
    """As who wrote it has made it, with a note; one that is not trusted may not have."""
    return shortened(text, MOST_LETTERS + _NOTE_LETTERS)


@lru_cache(16)
def reader(trusted: bool | None, in_any_pid_namespace: bool, by_template: bool) -> Reader:
    """A Reader, which holds nothing of its child."""
    return Reader(trusted, in_any_pid_namespace, by_template=by_template)


def failed_step(label: str, number: int, file: str | None) -> SpawnError:
    """The error for a step of the child's setup."""
    return spawn_error(label, number, file, likely_reason(label, number))


_READERS = {
    VALUE: Reader._value,
    RAISED: Reader._raised,
    TRACED: Reader._traced,
    LOST: Reader._lost,
    UNPREPARED: Reader._unprepared,
}
